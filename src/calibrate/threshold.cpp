#include "opspilot/calibrate/threshold-inl.hpp"
