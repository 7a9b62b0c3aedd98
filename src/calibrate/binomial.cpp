#include "opspilot/calibrate/binomial-inl.hpp"
