#include "opspilot/learn/lbfgs-inl.hpp"
