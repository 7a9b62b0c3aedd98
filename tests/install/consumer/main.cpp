// Uses the library as a stranger would: installed headers only, one answer and one error.
#include <opspilot/base/config.hpp>
#include <opspilot/base/hash.hpp>
#include <opspilot/base/text.hpp>

#include <cstdio>
#include <string>

std::string fingerprint_elsewhere(const char* text);

int main() {
    // FIPS 180-4, the one-block example.
    const std::string expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    if (opspilot::sha256_hex("abc") != expected || fingerprint_elsewhere("abc") != expected) {
        std::puts("wrong fingerprint");
        return 1;
    }
    std::printf("opspilot %d.%d.%d answers\n", OPSPILOT_VERSION_MAJOR, OPSPILOT_VERSION_MINOR, OPSPILOT_VERSION_PATCH);
    return 0;
}
