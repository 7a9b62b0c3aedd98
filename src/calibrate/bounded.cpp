#include "opspilot/calibrate/bounded-inl.hpp"
