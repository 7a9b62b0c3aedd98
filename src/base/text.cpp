#include "opspilot/base/text-inl.hpp"
