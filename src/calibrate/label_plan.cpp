#include "opspilot/calibrate/label_plan-inl.hpp"
