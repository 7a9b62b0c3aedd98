#include "opspilot/learn/choice-inl.hpp"
