#include "opspilot/data/row_json-inl.hpp"
