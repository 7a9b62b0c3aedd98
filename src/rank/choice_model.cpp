#include "opspilot/rank/choice_model-inl.hpp"
