#include "opspilot/policy/detail/analysis/chain-inl.hpp"
