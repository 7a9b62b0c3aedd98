#include "opspilot/features/cross.hpp"  // EXPECT source
int body() { return 1; }
