#include "opspilot/policy/detail/columns/kernel-inl.hpp"
