#include "opspilot/features/text-inl.hpp"
