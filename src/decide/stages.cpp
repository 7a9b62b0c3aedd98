#include "opspilot/decide/stages-inl.hpp"
