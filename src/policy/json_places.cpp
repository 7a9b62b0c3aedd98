#include "opspilot/policy/detail/json_places-inl.hpp"
