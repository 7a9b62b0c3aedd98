#include "opspilot/decide/detail/inputs-inl.hpp"
