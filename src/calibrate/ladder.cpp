#include "opspilot/calibrate/ladder-inl.hpp"
