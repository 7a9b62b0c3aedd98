#include "opspilot/calibrate/criteria-inl.hpp"
