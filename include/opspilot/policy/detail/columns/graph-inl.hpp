#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "opspilot/policy/detail/columns/graph.hpp"

namespace opspilot::cel::detail {

/// A subtree as a tree of its own. Nothing in it may refer to a macro's variable outside it.
inline checked subtree(const checked& whole, std::uint32_t top) {
    checked out;
    const std::uint32_t begin = whole.ast.nodes[top].begin;
    out.ast.source = whole.ast.source;
    out.ast.slots = whole.ast.slots;
    out.pool = whole.pool;
    out.paths = whole.paths;
    out.tables = whole.tables;
    for (std::uint32_t i = begin; i <= top; ++i) {
        node n = whole.ast.nodes[i];
        const std::uint32_t first = n.first;
        n.begin -= begin;
        n.first = static_cast<std::uint32_t>(out.ast.children.size());
        for (std::uint32_t k = 0; k < n.count; ++k) out.ast.children.push_back(whole.ast.children[first + k] - begin);
        out.ast.nodes.push_back(std::move(n));
        out.ast.parents.push_back(i == top ? top - begin : whole.ast.parents[i] - begin);
        out.types.push_back(whole.types[i]);
        out.meanings.push_back(whole.meanings[i]);
    }
    return out;
}

/// Equal texts for equal subtrees, and for no others. Places in the source do not count: the same test in two rules is one.
inline std::string spell(const checked& c, std::uint32_t top) {
    std::string out;
    for (std::uint32_t i = c.ast.nodes[top].begin; i <= top; ++i) {
        const node& n = c.ast.nodes[i];
        const meaning& m = c.meanings[i];
        fmt::format_to(std::back_inserter(out), "{}.{}.{}.{}.{}.{}.{:x}.{}.{}.{}.{}:", static_cast<int>(n.kind), n.member ? 1 : 0,
                       n.global ? 1 : 0, n.variables, n.count, n.integer, std::bit_cast<std::uint64_t>(n.number),
                       static_cast<int>(m.what), m.index, static_cast<int>(m.where.where), m.where.index);
        fmt::format_to(std::back_inserter(out), "{}:{};", n.name.size(), n.name);
    }
    return out;
}

inline lane lane_of(type_id t) noexcept {
    switch (t) {
        case types::boolean: return lane::truth;
        case types::integer: return lane::integer;
        case types::number: return lane::number;
        case types::timestamp: return lane::moment;
        default: return lane::other;
    }
}

inline bool is_comparison(node_kind k) noexcept { return k >= node_kind::equal && k <= node_kind::greater_equal; }

inline opcode comparison(node_kind k) noexcept {
    switch (k) {
        case node_kind::less: return opcode::less;
        case node_kind::less_equal: return opcode::less_equal;
        case node_kind::greater: return opcode::greater;
        case node_kind::greater_equal: return opcode::greater_equal;
        default: return opcode::equal;
    }
}

/// The comparison with its sides exchanged.
inline opcode mirrored(opcode op) noexcept {
    switch (op) {
        case opcode::less: return opcode::greater;
        case opcode::less_equal: return opcode::greater_equal;
        case opcode::greater: return opcode::less;
        case opcode::greater_equal: return opcode::less_equal;
        default: return op;
    }
}

inline std::optional<opcode> arithmetic_of(node_kind k) noexcept {
    switch (k) {
        case node_kind::add: return opcode::add;
        case node_kind::subtract: return opcode::subtract;
        case node_kind::multiply: return opcode::multiply;
        case node_kind::divide: return opcode::divide;
        case node_kind::modulo: return opcode::modulo;
        default: return {};
    }
}

/// Reads one condition. First which form every node can take, from the leaves up; then which forms are wanted, from the root
/// down; then the parts, from the leaves up again. No recursion.
class graph_builder::reader {
public:
    reader(graph_builder& into, const checked& c) : into_(into), c_(c), ast_(c.ast), reads_(find_reads(c)) {}

    std::uint32_t run() {
        const std::uint32_t n = static_cast<std::uint32_t>(ast_.nodes.size());
        forms_.resize(n);
        for (index i = 0; i < n; ++i) forms_[i] = form_of(i);
        wanted_.assign(n, false);
        wanted_[ast_.root()] = true;
        for (index i = n; i-- > 0;) {
            if (!wanted_[i] || is_leaf(forms_[i])) continue;
            for (std::uint32_t k = 0; k < ast_.nodes[i].count; ++k) wanted_[ast_.child(i, k)] = true;
        }
        parts_.assign(n, 0);
        for (index i = 0; i < n; ++i)
            if (wanted_[i]) parts_[i] = enter(i);
        return parts_[ast_.root()];
    }

private:
    using index = std::uint32_t;
    enum class form : std::uint8_t {
        none,     // a value that is no truth and no column, or bound to a macro
        scalar,   // reads the task alone
        machine,  // a truth for the scalar machine
        given,
        flag,
        text_is,
        same_text,
        field,
        looked_up,
        widen,
        negate,
        arithmetic,
        compare,
        not_,
        logic,
        same,
        choose,
    };
    static constexpr std::uint32_t of_the_candidate = reads_action | reads_candidate;

    /// Parts that use no other parts.
    [[nodiscard]] static bool is_leaf(form f) noexcept {
        return f <= form::flag || f == form::text_is || f == form::same_text || f == form::field || f == form::looked_up;
    }
    [[nodiscard]] bool is_truth(index i) const noexcept {
        const form f = forms_[i];
        if (f == form::scalar || f == form::machine) return c_.types[i] == types::boolean || c_.types[i] == types::dyn;
        return f == form::given || f == form::flag || f == form::text_is || f == form::same_text || f >= form::compare;
    }
    /// A column of numbers or times, or one of them for all.
    [[nodiscard]] bool is_column(index i) const noexcept {
        const lane l = lane_of(c_.types[i]);
        if (l == lane::truth || l == lane::other) return false;
        return forms_[i] == form::scalar || (forms_[i] >= form::field && forms_[i] <= form::arithmetic);
    }
    [[nodiscard]] bool is_text_field(index i) const noexcept {
        return c_.meanings[i].what == reference::field && ast_.nodes[i].kind != node_kind::has && c_.types[i] == types::text &&
               (reads_[i] & of_the_candidate) != 0;
    }
    [[nodiscard]] index child(index i, std::uint32_t k) const noexcept { return ast_.child(i, k); }

    form form_of(index i) const {
        const std::uint32_t reads = reads_[i];
        if (c_.meanings[i].what == reference::absorbed || (reads & ~(of_the_candidate | reads_task)) != 0) return form::none;
        if ((reads & of_the_candidate) == 0) return form::scalar;
        const form f = column_form(i);
        if (f != form::none) return f;
        return c_.types[i] == types::boolean || c_.types[i] == types::dyn ? form::machine : form::none;
    }

    form column_form(index i) const {
        const node& n = ast_.nodes[i];
        if (c_.meanings[i].what == reference::field) {
            if (n.kind == node_kind::has) return form::given;
            const lane l = lane_of(c_.types[i]);
            return l == lane::truth ? form::flag : l == lane::other ? form::none : form::field;
        }
        switch (n.kind) {
            case node_kind::not_: return is_truth(child(i, 0)) ? form::not_ : form::none;
            case node_kind::and_:
            case node_kind::or_: return is_truth(child(i, 0)) && is_truth(child(i, 1)) ? form::logic : form::none;
            case node_kind::conditional:
                return c_.types[i] == types::boolean && is_truth(child(i, 0)) && is_truth(child(i, 1)) && is_truth(child(i, 2))
                           ? form::choose
                           : form::none;
            case node_kind::negate:
                return is_column(child(i, 0)) && lane_of(c_.types[i]) != lane::moment ? form::negate : form::none;
            case node_kind::call:
                if (c_.meanings[i].what == reference::lookup) {
                    const lane l = lane_of(c_.types[i]);
                    return l == lane::integer || l == lane::number ? form::looked_up : form::none;
                }
                return n.name == "double" && !n.member && n.count == 1 && is_column(child(i, 0)) &&
                               c_.types[child(i, 0)] == types::integer
                           ? form::widen
                           : form::none;
            default: break;
        }
        if (is_comparison(n.kind)) return comparison_form(i);
        const auto op = arithmetic_of(n.kind);
        if (!op || !is_column(child(i, 0)) || !is_column(child(i, 1))) return form::none;
        const type_id t = c_.types[child(i, 0)];
        const bool fits = t == c_.types[child(i, 1)] && (t == types::integer || (t == types::number && *op != opcode::modulo));
        return fits ? form::arithmetic : form::none;
    }

    form comparison_form(index i) const {
        const index a = child(i, 0), b = child(i, 1);
        const bool equality = ast_.nodes[i].kind == node_kind::equal || ast_.nodes[i].kind == node_kind::not_equal;
        if (equality && is_text_field(a) && is_text_field(b)) return form::same_text;
        if (equality && ((is_text_field(a) && forms_[b] == form::scalar) || (is_text_field(b) && forms_[a] == form::scalar)))
            return form::text_is;
        if (equality && c_.types[a] == types::boolean && c_.types[b] == types::boolean && is_truth(a) && is_truth(b))
            return form::same;
        if (!is_column(a) || !is_column(b)) return form::none;
        const lane x = lane_of(c_.types[a]), y = lane_of(c_.types[b]);
        if (x == y) return form::compare;
        // Of two kinds of numbers, one must be the same for all: it is turned into the other's kind exactly.
        const bool numbers = x != lane::moment && y != lane::moment;
        return numbers && (forms_[a] == form::scalar || forms_[b] == form::scalar) ? form::compare : form::none;
    }

    std::uint32_t enter(index i) {
        const node& n = ast_.nodes[i];
        graph_part part;
        part.reads = static_cast<std::uint8_t>(reads_[i]);
        part.gives = lane_of(c_.types[i]);
        part.field = c_.meanings[i].where;
        switch (forms_[i]) {
            case form::none:
            case form::scalar: return machine(i, part_kind::scalar);
            case form::machine: return machine(i, one_text(i, part.field) ? part_kind::distinct : part_kind::each);
            case form::given: return leaf(part, part_kind::given);
            case form::flag: return leaf(part, part_kind::flag);
            case form::field: return leaf(part, part_kind::field);
            case form::looked_up: return machine(i, part_kind::looked_up);
            case form::text_is: {
                const index field = is_text_field(child(i, 0)) ? child(i, 0) : child(i, 1);
                const index other = field == child(i, 0) ? child(i, 1) : child(i, 0);
                part.field = c_.meanings[field].where;
                part.gives = lane::truth;
                return maybe_not(i, composed(part, part_kind::text_is, {machine(other, part_kind::scalar)}));
            }
            case form::same_text:
                part.second = c_.meanings[child(i, 1)].where;
                part.field = c_.meanings[child(i, 0)].where;
                return maybe_not(i, leaf(part, part_kind::same_text));
            case form::widen: return composed(part, part_kind::widen, {parts_[child(i, 0)]});
            case form::negate: return composed(part, part_kind::negate, {parts_[child(i, 0)]});
            case form::arithmetic:
                part.op = *arithmetic_of(n.kind);
                return composed(part, part_kind::arithmetic, {parts_[child(i, 0)], parts_[child(i, 1)]});
            case form::compare: {
                part.op = comparison(n.kind);
                std::uint32_t a = parts_[child(i, 0)], b = parts_[child(i, 1)];
                if (into_.graph_.is_scalar(a)) {
                    std::swap(a, b);
                    part.op = mirrored(part.op);
                }
                return maybe_not(i, composed(part, part_kind::compare, {a, b}));
            }
            case form::not_: return composed(part, part_kind::not_, {parts_[child(i, 0)]});
            case form::same: return maybe_not(i, composed(part, part_kind::same, {parts_[child(i, 0)], parts_[child(i, 1)]}));
            case form::choose:
                return composed(part, part_kind::choose, {parts_[child(i, 0)], parts_[child(i, 1)], parts_[child(i, 2)]});
            case form::logic: return logic(i, part);
        }
        return 0;
    }

    /// a != b is !(a == b), errors included.
    std::uint32_t maybe_not(index i, std::uint32_t equal) {
        if (ast_.nodes[i].kind != node_kind::not_equal) return equal;
        graph_part part;
        part.reads = static_cast<std::uint8_t>(reads_[i]);
        return composed(part, part_kind::not_, {equal});
    }

    /// Chains of && and || become one part with many operands. Their order does not matter, errors included.
    std::uint32_t logic(index i, graph_part part) {
        const part_kind kind = ast_.nodes[i].kind == node_kind::and_ ? part_kind::and_ : part_kind::or_;
        part.gives = lane::truth;
        std::vector<std::uint32_t> all;
        for (std::uint32_t k = 0; k < 2; ++k) {
            const std::uint32_t p = parts_[child(i, k)];
            const graph_part& known = into_.graph_.parts[p];
            if (known.kind == kind)
                for (std::uint32_t o = 0; o < known.count; ++o) all.push_back(into_.graph_.operand(p, o));
            else
                all.push_back(p);
        }
        std::sort(all.begin(), all.end());
        all.erase(std::unique(all.begin(), all.end()), all.end());
        return composed(part, kind, std::move(all));
    }

    std::uint32_t leaf(graph_part part, part_kind kind) { return composed(part, kind, {}); }

    std::uint32_t composed(graph_part part, part_kind kind, std::vector<std::uint32_t> operands) {
        part.kind = kind;
        std::string key = fmt::format("{}.{}.{}.{}.{}.{}:{}", static_cast<int>(kind), static_cast<int>(part.op),
                                      static_cast<int>(part.field.where), part.field.index, static_cast<int>(part.second.where),
                                      part.second.index, fmt::join(operands, ","));
        return into_.enter(part, std::move(operands), std::move(key));
    }

    std::uint32_t machine(index i, part_kind kind) {
        std::string key = fmt::format("{}={}", static_cast<int>(kind), spell(c_, i));
        if (const auto known = into_.known_.find(key); known != into_.known_.end()) return known->second;
        graph_part part;
        part.kind = kind;
        part.reads = static_cast<std::uint8_t>(reads_[i]);
        part.gives = kind == part_kind::scalar || kind == part_kind::looked_up ? lane_of(c_.types[i]) : lane::truth;
        if (kind != part_kind::scalar) part.by_text = one_text(i, part.field);
        part.program = static_cast<std::uint32_t>(into_.graph_.programs.size());
        checked own = subtree(c_, i);
        into_.graph_.programs.push_back(lower(own, {}, into_.strings_, false));
        return into_.enter(part, {}, std::move(key));
    }

    /// Whether the subtree reads one text field of the candidate and nothing else of it.
    bool one_text(index top, schema::path& field) const {
        bool read = false, any = false;
        for (index i = ast_.nodes[top].begin; i <= top; ++i) {
            if ((reads_[i] & of_the_candidate) == 0) continue;
            if (c_.meanings[i].what == reference::optional_field) return false;
            if (c_.meanings[i].what != reference::field) continue;
            const schema::path at = c_.meanings[i].where;
            if (any && (at.where != field.where || at.index != field.index)) return false;
            field = at;
            any = true;
            if (ast_.nodes[i].kind == node_kind::has) continue;
            if (c_.types[i] != types::text) return false;
            read = true;
        }
        return read;
    }

    graph_builder& into_;
    const checked& c_;
    const tree& ast_;
    std::vector<std::uint32_t> reads_;
    std::vector<form> forms_;
    std::vector<bool> wanted_;
    std::vector<std::uint32_t> parts_;
};

OPSPILOT_INLINE std::uint32_t graph_builder::enter(graph_part part, std::vector<std::uint32_t> operands, std::string key) {
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    part.first = static_cast<std::uint32_t>(graph_.operands.size());
    part.count = static_cast<std::uint32_t>(operands.size());
    graph_.operands.insert(graph_.operands.end(), operands.begin(), operands.end());
    if (part.kind != part_kind::scalar && part.gives != lane::truth) part.column = graph_.columns++;
    graph_.parts.push_back(part);
    const auto made = static_cast<std::uint32_t>(graph_.parts.size() - 1);
    known_.emplace(std::move(key), made);
    return made;
}

OPSPILOT_INLINE std::uint32_t graph_builder::add(const checked& c) {
    conditions_.push_back(reader(*this, c).run());
    return conditions_.back();
}

/// What is cheap to ask, and likely to settle the matter, comes first.
inline unsigned rank_of(const graph_part& part) noexcept {
    if (part.kind == part_kind::scalar) return 0;
    if (part.reads == reads_action) return 1;
    switch (part.kind) {
        case part_kind::each: return 5;
        case part_kind::distinct: return 4;
        case part_kind::and_:
        case part_kind::or_:
        case part_kind::not_:
        case part_kind::same:
        case part_kind::choose: return 3;
        default: return 2;
    }
}

OPSPILOT_INLINE graph graph_builder::finish() && {
    graph& g = graph_;
    std::vector<bool> wanted(g.parts.size(), false);  // by something that is not prepared itself
    for (const std::uint32_t c : conditions_) {
        ++g.parts[c].uses;
        wanted[c] = true;
    }
    for (std::uint32_t i = 0; i < g.parts.size(); ++i) {
        const graph_part& part = g.parts[i];
        const auto from = g.operands.begin() + part.first, to = from + part.count;
        for (auto o = from; o != to; ++o) {
            ++g.parts[*o].uses;
            if (!g.is_prepared(i)) wanted[*o] = true;
        }
        if (part.kind == part_kind::and_ || part.kind == part_kind::or_)
            std::sort(from, to,
                      [&](auto a, auto b) { return std::pair(rank_of(g.parts[a]), a) < std::pair(rank_of(g.parts[b]), b); });
    }
    for (std::uint32_t i = 0; i < g.parts.size(); ++i)
        if (wanted[i] && g.is_prepared(i)) g.prepared.push_back(i);
    return std::move(graph_);
}

}  // namespace opspilot::cel::detail
