#include "opspilot/calibrate/beta-inl.hpp"
