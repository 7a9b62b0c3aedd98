#include "opspilot/rank/trees-inl.hpp"
