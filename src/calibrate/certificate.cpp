#include "opspilot/calibrate/certificate-inl.hpp"
