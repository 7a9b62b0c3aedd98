#include "opspilot/decide/release-inl.hpp"
