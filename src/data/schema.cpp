#include "opspilot/data/schema-inl.hpp"
