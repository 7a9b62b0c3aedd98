// Packs the bundle of tests/decide/world.hpp into a file for the C tests.
#include <cstdio>
#include <exception>
#include <fstream>

#include "decide/world.hpp"

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    try {
        const std::string& bytes = world::packed();
        std::ofstream file(argv[1], std::ios::binary);
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        return file.good() ? 0 : 4;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 3;
    }
}
