#include "opspilot/data/dictionary-inl.hpp"
