#include "opspilot/rank/lightgbm-inl.hpp"
