#include "opspilot/calibrate/conformal-inl.hpp"
