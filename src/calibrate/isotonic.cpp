#include "opspilot/calibrate/isotonic-inl.hpp"
