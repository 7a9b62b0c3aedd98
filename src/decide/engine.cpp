#include "opspilot/decide/engine-inl.hpp"
