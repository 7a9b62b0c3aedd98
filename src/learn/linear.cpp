#include "opspilot/learn/linear-inl.hpp"
