#include "opspilot/rank/kernels-inl.hpp"
