#include "opspilot/base/signature-inl.hpp"
