#include "opspilot/rank/tree_builder-inl.hpp"
