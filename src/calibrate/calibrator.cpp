#include "opspilot/calibrate/calibrator-inl.hpp"
