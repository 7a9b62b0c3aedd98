#include "opspilot/rank/detail/model_json-inl.hpp"
