// Tables of constants: what is refused has a code and a place; what is read gives the same to every engine, for its keys and
// others.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "conditions.hpp"
#include "opspilot/policy/policy.hpp"

using namespace opspilot;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 65'536) return 0;
    const lookup_tables::document d{"t", {reinterpret_cast<const char*>(data), size}};
    const auto tables = lookup_tables::read({&d, 1});
    if (!tables) {
        const error& why = tables.error();
        if (why.code.empty() || why.message.empty() || why.where.find("table 't' ") == std::string::npos) std::abort();
        return 0;
    }
    // Whatever types it declares, one of these conditions compiles.
    constexpr std::string_view rules = R"({"layer": "business", "version": "1", "rules": [
        {"id": "r", "effect": "forbid", "because": "b", "when": "[lookup('t', KEY)] == [lookup('t', KEY)] && size([KEY]) == 1"}]})";
    bool compiled = false;
    for (const std::string_view key : {"action.kind", "action.level", "action.manual"}) {
        std::string text(rules);
        for (std::size_t at = text.find("KEY"); at != std::string::npos; at = text.find("KEY")) text.replace(at, 3, key);
        fuzz::records r;
        const policy_set::document policy_text{"p", text};
        const auto policy = policy_set::compile({&policy_text, 1}, r.fields, r.strings, nullptr, policy_review::rules, *tables);
        if (!policy) continue;
        compiled = true;
        r.fill();
        const interner texts(r.strings);
        const frame f = r.view(false, texts);
        policy_workspace scratch;
        policy_outcome wanted, got;
        if (!scratch.use("machine")) std::abort();
        policy->evaluate(f, scratch, wanted);
        if (!scratch.use("")) std::abort();
        policy->evaluate(f, scratch, got);
        if (wanted.allowed != got.allowed || wanted.hits.size() != got.hits.size()) std::abort();
    }
    if (!compiled) std::abort();
    return 0;
}
