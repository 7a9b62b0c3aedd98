#include "opspilot/calibrate/hierarchical-inl.hpp"
