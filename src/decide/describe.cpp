#include "opspilot/decide/describe-inl.hpp"
