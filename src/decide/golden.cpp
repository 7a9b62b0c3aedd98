#include "opspilot/decide/detail/golden-inl.hpp"
