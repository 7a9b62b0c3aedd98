#include "opspilot/rank/generator-inl.hpp"
