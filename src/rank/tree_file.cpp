#include "opspilot/rank/tree_file-inl.hpp"
