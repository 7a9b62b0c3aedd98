#include "opspilot/evaluate/gap_alarm-inl.hpp"
