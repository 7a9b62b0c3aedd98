#include "opspilot/rank/linear-inl.hpp"
