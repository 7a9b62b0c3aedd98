#include "opspilot/rank/sparse_weights-inl.hpp"
