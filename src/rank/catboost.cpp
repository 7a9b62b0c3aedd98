#include "opspilot/rank/catboost-inl.hpp"
