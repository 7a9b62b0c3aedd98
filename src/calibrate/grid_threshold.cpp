#include "opspilot/calibrate/grid_threshold-inl.hpp"
