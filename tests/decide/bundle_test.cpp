#include "opspilot/decide/bundle.hpp"

#include <random>

#include "catch.hpp"
#include "opspilot/base/detail/json.hpp"
#include "opspilot/features/plan.hpp"
#include "world.hpp"

using namespace opspilot;

namespace {
error built(part_map parts) {
    const auto outcome = bundle::build(parts);
    REQUIRE_FALSE(outcome.ok());
    return outcome.error();
}
part_map with(std::string_view name, std::string content) {
    part_map parts = world::complete_parts();
    parts[std::string(name)] = std::move(content);
    return parts;
}
}  // namespace

TEST_CASE("a bundle is the same after it was packed") {
    const auto b = world::load();
    CHECK(b->fingerprint().size() == 64);
    CHECK(b->golden_rows() == 64);
    CHECK(b->name() == "support");
    CHECK(b->packed() == world::packed());
    CHECK(bundle::build(world::complete_parts()).value() == world::packed());  // building is deterministic
    const auto about = detail::parse_json(b->describe_json(), error_kind::bundle);
    REQUIRE(about.ok());
    CHECK((*about)["rules"].size() == 4);
    CHECK((*about)["thresholds"][0]["for_these_models"] == true);
    // The directory's hash of the document stands in for hashing it again, and ties it to the schema as `parse` alone does.
    dictionary strings;
    CHECK(b->versions().features == feature_plan::parse(b->part("features.json"), b->schema(), strings)->fingerprint());
}

TEST_CASE("one flipped byte anywhere in a bundle is refused") {
    std::mt19937 random(7);
    const std::string& packed = world::packed();
    for (int i = 0; i < 400; ++i) {
        std::string changed = packed;
        const std::size_t at = random() % changed.size();
        changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(1U << (random() % 8)));
        REQUIRE_FALSE(bundle::load(changed).ok());
    }
    for (const std::size_t length : {std::size_t{0}, std::size_t{7}, packed.size() / 2, packed.size() - 1})
        CHECK(bundle::load(std::string_view(packed).substr(0, length)).error().kind == error_kind::bundle);
}

TEST_CASE("golden rows cover every verdict and are compared bit for bit") {
    CHECK(built(with("golden.jsonl", "")).code == "bundle.golden_rows");
    std::string few = world::golden_tasks();
    few.resize(few.rfind('\n', few.size() - 2) + 1);
    CHECK(built(with("golden.jsonl", few)).message.find("63 golden rows") != std::string::npos);
    std::string calm;
    for (int i = 0; i < 64; ++i) calm += fmt::format(R"({{"task": {{"intent": "fraud"}}, "now": {}}})", world::now_us) + "\n";
    CHECK(built(with("golden.jsonl", calm)).hint.find("every way out") != std::string::npos);

    // What a bundle cannot reach needs no golden row: the first bundle of a client has no certificate yet.
    part_map first = world::complete_parts();
    first.erase("calibration.json");
    const auto without = bundle::build(first);
    INFO((without ? std::string() : without.error().text()));
    CHECK(without.ok());

    // A changed answer inside sound hashes: only the golden rows can notice.
    part_map parts;
    const auto opened = open_container(world::packed()).value();
    for (const auto& [name, part] : opened.parts) parts[std::string(name)] = std::string(part.content);
    auto manifest = detail::json::parse(parts["bundle.json"]);
    std::string& golden = parts["golden.jsonl"];
    const std::size_t at = golden.find("\"probability\":0.");
    REQUIRE(at != std::string::npos);
    char& digit = golden[at + 18];
    digit = digit == '1' ? '2' : '1';
    manifest["parts"]["golden.jsonl"] = sha256_hex(golden);
    parts["bundle.json"] = manifest.dump();
    const auto loaded = bundle::load(pack_container(parts).value());
    REQUIRE_FALSE(loaded.ok());
    CHECK(loaded.error().code == "bundle.golden_mismatch");
    CHECK(loaded.error().where.find("line 1") != std::string::npos);
}

TEST_CASE("parts that disagree are refused, naming the part") {
    CHECK(built(with("rank/linear.json", R"({"version": 1, "features": ["cost", "mach"], "weights": [1, 2]})"))
              .text()
              .find("match") != std::string::npos);
    CHECK_FALSE(built(with("rank/linear.json", R"({"version": 1, "features": ["cost", "match"], "weights": [1]})")).code.empty());
    CHECK_FALSE(built(with("rank/linear.json", R"({"version": 1, "features": ["cost"], "weights": [1], "fingerprint": "00"})"))
                    .code.empty());
    CHECK(built(with("features.json", "{")).where.find("features.json") != std::string::npos);
    CHECK(
        built(
            with(
                "policy/extra.json",
                R"({"layer": "client", "rules": [{"id": "x", "when": "task.amout > 1.0", "effect": "forbid", "because": "y"}]})"))
            .kind == error_kind::policy);
    CHECK(built(with("notes.txt", "x")).code == "bundle.unknown_part");
    CHECK(built(with("schema.jsn", "x")).hint == "did you mean 'schema.json'?");
    CHECK(built(with("rollout.json", R"({"stage": "lve"})")).hint == "did you mean 'live'?");
    CHECK(built(with("calibration.json", "[]")).where.find("calibration.json") != std::string::npos);
    part_map without = world::complete_parts();
    without.erase("schema.json");
    CHECK(built(without).code == "bundle.missing_part");
    without = world::complete_parts();
    without.erase("rank/linear.json");
    CHECK(built(without).text().find("rank/linear.json") != std::string::npos);
    CHECK(built(with("catalogue.json", R"([{"id": "a", "kind": "k", "cost": 1, "intents": [], "reversible": true},
                                           {"id": "a", "kind": "k", "cost": 1, "intents": [], "reversible": true}])"))
              .code == "bundle.duplicate_action");
}
