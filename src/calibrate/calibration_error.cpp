#include "opspilot/calibrate/calibration_error-inl.hpp"
