// Policy documents: findings have a code and a place; what compiles does the same by every engine, and its tests run.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "conditions.hpp"
#include "opspilot/policy/policy.hpp"

using namespace opspilot;

namespace {

bool same(const policy_outcome& a, const policy_outcome& b) {
    if (a.cap != b.cap || a.allowed != b.allowed || a.queue != b.queue || a.hits.size() != b.hits.size()) return false;
    if (std::memcmp(a.boost.data(), b.boost.data(), a.boost.size() * sizeof(double)) != 0) return false;
    std::vector<std::vector<rule_hit>> of_a(a.cap.size()), of_b(a.cap.size());  // their order holds per candidate
    for (const rule_hit& h : a.hits) of_a[h.candidate].push_back(h);
    for (const rule_hit& h : b.hits) of_b[h.candidate].push_back(h);
    for (std::size_t i = 0; i < of_a.size(); ++i) {
        if (of_a[i].size() != of_b[i].size()) return false;
        for (std::size_t k = 0; k < of_a[i].size(); ++k)
            if (of_a[i][k].rule != of_b[i][k].rule || of_a[i][k].failed != of_b[i][k].failed) return false;
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 8192) return 0;
    const policy_set::document d{"fuzzed", {reinterpret_cast<const char*>(data), size}};
    fuzz::records r;
    std::vector<policy_finding> findings;
    const auto policy = policy_set::compile({&d, 1}, r.fields, r.strings, &findings);
    bool wrong = false;
    for (const policy_finding& f : findings) {
        if (f.code.empty() || f.message.empty() || f.where.empty()) std::abort();
        wrong = wrong || f.is_error;
    }
    if (!policy) {
        if (policy.error().code.empty() || policy.error().message.empty()) std::abort();
        return 0;
    }
    if (wrong) std::abort();
    const auto tests = policy->run_tests();
    if (policy->coverage().size() != policy->rules()) std::abort();
    r.fill();
    const interner texts(r.strings);
    const policy_catalogue ready = policy->prepare(r.catalogue(), texts);
    policy_workspace scratch;
    policy_outcome wanted, got;
    for (const bool picked : {false, true}) {
        const frame f = r.view(picked, texts);
        if (!scratch.use("machine")) std::abort();
        policy->evaluate(f, scratch, wanted);
        for (const char* engine : {"scalar", ""}) {
            if (!scratch.use(engine)) std::abort();
            policy->evaluate(f, scratch, got, engine[0] == 0 ? &ready : nullptr);
            if (!same(wanted, got)) std::abort();
        }
    }
    (void)policy->violated_invariant(r.view(false, texts), 0, verdict::auto_execute, scratch);
    return 0;
}
