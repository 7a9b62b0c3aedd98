#include "opspilot/calibrate/venn_abers-inl.hpp"
