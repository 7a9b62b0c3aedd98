#include "opspilot/calibrate/platt-inl.hpp"
