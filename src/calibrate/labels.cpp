#include "opspilot/calibrate/labels-inl.hpp"
