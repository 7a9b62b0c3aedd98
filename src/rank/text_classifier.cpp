#include "opspilot/rank/text_classifier-inl.hpp"
