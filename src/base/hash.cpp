#include "opspilot/base/hash-inl.hpp"
