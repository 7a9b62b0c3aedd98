#include "opspilot/features/matrix-inl.hpp"
