#include "opspilot/rank/explain-inl.hpp"
