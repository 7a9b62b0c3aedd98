#include "opspilot/calibrate/choose-inl.hpp"
