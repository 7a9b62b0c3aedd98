// Conditions by columns against the scalar machine: lines of the input are the conditions of one set.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "conditions.hpp"
#include "opspilot/policy/cel/rule_set.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"
#include "opspilot/policy/detail/cel/program.hpp"

using namespace opspilot;

namespace {

/// The condition for every candidate; false where a bound of the machine cut one short, which columns count differently.
bool by_machine(const std::string& source, fuzz::records& r, const frame& f, std::vector<std::uint8_t>& yes,
                std::vector<std::uint8_t>& error) {
    cel::detail::checked c;
    if (cel::detail::parse(source, cel::detail::parse_limits{}, c.ast)) std::abort();  // it was accepted before
    cel::detail::environment env;
    env.records = &r.fields;
    cel::detail::check(c, env);
    const cel::detail::program p = cel::detail::lower(c, {}, nullptr, false);
    cel::arena memory(std::size_t{1} << 20);
    cel::detail::machine m;
    m.memory = &memory;
    m.strings = f.strings;
    m.where = &f;
    m.step_limit = 20'000;
    for (std::size_t i = 0; i < f.size(); ++i) {
        memory.reset();
        m.candidate = i;
        m.steps = 0;
        const cel::value v = cel::detail::run_all(p, m);
        if (v.failed() && (v.why() == cel::fault::cost_limit || v.why() == cel::fault::memory_limit)) return false;
        yes.push_back(v.is_true() ? 1 : 0);
        error.push_back(v.is(cel::kind::boolean) ? 0 : 1);
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 2048) return 0;
    std::vector<std::string> sources(1);
    for (std::size_t i = 0; i < size; ++i) {
        if (data[i] == '\n' && sources.size() < 8)
            sources.emplace_back();
        else
            sources.back() += static_cast<char>(data[i]);
    }
    fuzz::records r;
    std::vector<cel::rule_set::refusal> refused;
    const auto rules = cel::rule_set::compile(sources, r.fields, r.strings, &refused);
    if (!rules || rules->size() != sources.size()) std::abort();
    std::vector<bool> sound(sources.size(), true);
    for (const cel::rule_set::refusal& why : refused) {
        if (why.why.code.empty() || why.why.where.empty()) std::abort();
        sound[why.expression] = false;
    }
    if (refused.size() == sources.size()) return 0;
    r.fill();
    const interner texts(r.strings);
    const auto ready = rules->prepare(r.catalogue(), texts);
    cel::rule_set::workspace scratch;
    for (const bool picked : {false, true}) {
        const frame f = r.view(picked, texts);
        std::vector<std::vector<std::uint8_t>> wanted_yes(sources.size()), wanted_error(sources.size());
        for (std::size_t i = 0; i < sources.size(); ++i)
            if (sound[i]) sound[i] = by_machine(sources[i], r, f, wanted_yes[i], wanted_error[i]);
        std::vector<std::uint8_t> yes(sources.size() * f.size()), error(yes.size());
        for (const std::string_view engine : cel::rule_set::engines()) {
            if (!scratch.use(engine)) std::abort();
            for (const auto* given : {&ready, static_cast<const cel::rule_set::catalogue*>(nullptr)}) {
                rules->evaluate(f, scratch, yes, error, given);
                for (std::size_t i = 0; i < sources.size(); ++i) {
                    if (!sound[i]) continue;
                    for (std::size_t k = 0; k < f.size(); ++k)
                        if (yes[i * f.size() + k] != wanted_yes[i][k] || error[i * f.size() + k] != wanted_error[i][k])
                            std::abort();
                }
            }
        }
    }
    return 0;
}
