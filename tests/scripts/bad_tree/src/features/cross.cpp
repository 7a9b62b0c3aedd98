#include "opspilot/features/cross-inl.hpp"
