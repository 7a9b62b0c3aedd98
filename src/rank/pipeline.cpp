#include "opspilot/rank/pipeline-inl.hpp"
