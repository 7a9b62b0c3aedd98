#include "opspilot/rank/tree_formats-inl.hpp"
