#include "opspilot/base/detail/json-inl.hpp"
