#include "opspilot/calibrate/temperature-inl.hpp"
