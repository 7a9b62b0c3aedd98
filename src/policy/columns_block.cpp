#include "opspilot/policy/detail/columns/block-inl.hpp"
