#include "opspilot/rank/detail/weight_file-inl.hpp"
