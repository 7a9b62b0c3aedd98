#include "opspilot/data/arrow-inl.hpp"
