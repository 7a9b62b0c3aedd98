#include "opspilot/evaluate/ranking-inl.hpp"
