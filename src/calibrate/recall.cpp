#include "opspilot/calibrate/recall-inl.hpp"
