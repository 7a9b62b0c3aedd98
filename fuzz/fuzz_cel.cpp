// Sources of CEL: what is refused says why and where; what is accepted gives the same value twice, within its bounds.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/cel/expression.hpp"

using namespace opspilot;

namespace {

void check(std::string_view source, bool typed) {
    const std::vector<cel::variable> variables{{"x", "int"}, {"s", "string"}, {"l", "list(string)"}, {"m", "map(string, dyn)"}};
    cel::options how;
    how.check = typed;
    if (typed) how.variables = variables;
    how.bytes = 4096;
    std::vector<cel::remark> remarks;
    const auto made = cel::expression::compile(source, how, &remarks);
    for (const cel::remark& r : remarks)
        if (r.code.empty() || r.message.empty() || !r.where.starts_with("line ")) std::abort();
    if (!made) {
        const error& e = made.error();
        if (e.kind != error_kind::policy || e.code.empty() || e.message.empty() || !e.where.starts_with("line ")) std::abort();
        return;
    }
    if (made->type().empty()) std::abort();
    cel::value items[2] = {cel::make_text("a"), cel::make_text("\u00E4")};
    cel::map_entry entries[1] = {{cel::make_text("a"), cel::make_integer(1)}};
    std::vector<cel::value> bound;
    for (const std::string& name : made->variables()) {
        cel::value v;
        if (name == "x") v = cel::make_integer(-7);
        if (name == "s") v = cel::make_text("abc");
        if (name == "l") v = cel::make_list(items);
        if (name == "m") v = cel::make_map(entries);
        bound.push_back(v);
    }
    cel::arena first(std::size_t{1} << 20), second(std::size_t{1} << 20);
    const cel::value a = made->evaluate(bound, first), b = made->evaluate(bound, second);
    if (a.is(cel::kind::unbound) || cel::to_text(a) != cel::to_text(b)) std::abort();
    if (a.failed() && made->explain(a).message.empty()) std::abort();
    if (a.is(cel::kind::text) && !valid_utf8(a.view())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    check(source, false);
    check(source, true);
    return 0;
}
