#include "opspilot/decide/bundle-inl.hpp"
