#include "opspilot/decide/container.hpp"

#include <set>

#include "catch.hpp"

using namespace opspilot;

namespace {
part_map sample() { return {{"bundle.json", "{}"}, {"rank/model.txt", "tree"}, {"schema.json", R"({"task":[]})"}}; }
}  // namespace

TEST_CASE("a container gives back what was packed") {
    const std::string packed = pack_container(sample()).value();
    const auto opened = open_container(packed);
    REQUIRE(opened.ok());
    CHECK(opened->parts.size() == 3);
    CHECK(opened->parts.at("rank/model.txt").content == "tree");
    CHECK(opened->fingerprint == container_fingerprint(sample()).value());
}

TEST_CASE("every flipped bit and every cut of a container is refused") {
    const std::string packed = pack_container(sample()).value();
    std::set<std::string_view> codes;
    for (std::size_t i = 0; i < packed.size(); ++i)
        for (int bit = 0; bit < 8; ++bit) {
            std::string changed = packed;
            changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
            const auto opened = open_container(changed);
            REQUIRE_FALSE(opened.ok());
            codes.insert(opened.error().code);
        }
    for (std::size_t length = 0; length < packed.size(); ++length) {
        const auto opened = open_container(std::string_view(packed).substr(0, length));
        REQUIRE_FALSE(opened.ok());
        codes.insert(opened.error().code);
    }
    CHECK(open_container(packed + "x").error().code == "bundle.trailing_bytes");
    for (const char* code :
         {"bundle.not_a_bundle", "bundle.version", "bundle.truncated", "bundle.fingerprint", "bundle.part_hash"})
        CHECK(codes.count(code) == 1);
}

TEST_CASE("part names stay inside the folder") {
    for (const char* name : {"../x", "/x", "a//b", "a/./b", "", "a/", "c:\\x", "\xFF"})
        CHECK(pack_container({{name, "x"}}).error().code == "bundle.part_name");
    CHECK(pack_container({{"a/b.json", "x"}}).ok());
    CHECK(open_container(pack_container({}).value()).ok());
}
