#include "opspilot/learn/detail/cross_fit-inl.hpp"
