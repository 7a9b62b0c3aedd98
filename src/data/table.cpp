#include "opspilot/data/table-inl.hpp"
