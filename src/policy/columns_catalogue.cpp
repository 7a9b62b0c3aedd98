#include "opspilot/policy/detail/columns/catalogue-inl.hpp"
