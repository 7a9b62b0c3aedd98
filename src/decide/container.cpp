#include "opspilot/decide/container-inl.hpp"
