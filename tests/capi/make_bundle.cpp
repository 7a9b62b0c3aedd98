// Packs bundles for the C tests: that of tests/decide/world.hpp, and one whose scores depend on a personal field, too; and signs
// releases of them.
#include <cstdio>
#include <exception>
#include <fstream>
#include <string_view>

#include "decide/world.hpp"
#include "opspilot/decide/release.hpp"

namespace {

void put_before(std::string& document, std::string_view place, std::string_view what) {
    document.insert(document.find(place), what);
}

opspilot::part_map personal_parts() {
    opspilot::part_map all = world::parts();
    put_before(all["schema.json"], R"({"name": "text")",
               R"({"name": "income", "type": "double", "optional": true, "pii": "personal"}, )");
    put_before(all["features.json"], R"({"name": "amount")",
               R"({"name": "earns", "op": "log", "input": "task.income", "missing": 0}, )");
    put_before(all["rank/linear.json"], R"("cost")", R"("earns", )");
    put_before(all["rank/linear.json"], "-0.5", "0.5, ");
    return world::complete_parts(std::move(all));
}

/// A line each: the public key, release 3 of policies, release 2 of bundles with the personal one.
std::string releases(const std::string& personal) {
    opspilot::signing_key key;
    key.seed.fill(7);
    opspilot::policy_release policy;
    policy.sequence = 3;
    policy.bundle = "support";
    policy.documents.emplace();
    policy.documents->push_back(
        {"approve.json",
         R"({"layer": "client", "version": "2", "rules": [{"id": "approve", "when": "action.kind == 'refund'", "effect": "require_approval", "because": "b"}]})"});
    opspilot::bundle_release bundle;
    bundle.sequence = 2;
    bundle.fingerprint = opspilot::bundle::load(personal).value()->fingerprint();
    return key.public_half().hex() + "\n" + policy.sign(key) + bundle.sign(key);
}

bool write(const char* path, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return file.good();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    try {
        const std::string personal = world::packed(personal_parts());
        return write(argv[1], world::packed()) && write(argv[2], personal) && write(argv[3], releases(personal)) ? 0 : 4;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 3;
    }
}
