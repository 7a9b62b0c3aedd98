#include "opspilot/learn/detail/softmax_problem-inl.hpp"
#include "opspilot/learn/detail/softmax_solvers-inl.hpp"
