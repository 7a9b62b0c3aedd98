#include "opspilot/decide/publish-inl.hpp"
