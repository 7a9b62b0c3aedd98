#include "opspilot/learn/text_classifier-inl.hpp"
