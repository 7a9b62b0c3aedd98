#include "opspilot/rank/xgboost-inl.hpp"
