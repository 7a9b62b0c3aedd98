#include "opspilot/calibrate/rate_process-inl.hpp"
