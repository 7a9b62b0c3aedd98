#include "opspilot/decide/detail/order-inl.hpp"
