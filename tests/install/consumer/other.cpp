// A second translation unit: bodies in headers must survive being included twice.
#include <opspilot/base/hash.hpp>

#include <string>

std::string fingerprint_elsewhere(const char* text) { return opspilot::sha256_hex(text); }
