#include "opspilot/calibrate/label_noise-inl.hpp"
