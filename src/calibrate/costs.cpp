#include "opspilot/calibrate/costs-inl.hpp"
