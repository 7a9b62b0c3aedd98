#include "opspilot/rank/tree_scorer-inl.hpp"
