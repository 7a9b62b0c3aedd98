#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <utility>

#include "opspilot/policy/detail/analysis/bounds-inl.hpp"
#include "opspilot/policy/detail/analysis/tests.hpp"

namespace opspilot::detail::analysis {

OPSPILOT_INLINE cel::detail::checked cut_out(const cel::detail::checked& c, std::uint32_t node) {
    const std::uint32_t begin = c.ast.nodes[node].begin;
    cel::detail::checked out;
    out.pool = c.pool;
    out.ast.slots = c.ast.slots;
    out.tables = c.tables;
    for (std::uint32_t i = begin; i <= node; ++i) {
        cel::detail::node n = c.ast.nodes[i];
        const auto first = static_cast<std::uint32_t>(out.ast.children.size());
        for (std::uint32_t k = 0; k < n.count; ++k) out.ast.children.push_back(c.ast.child(i, k) - begin);
        n.first = first;
        n.begin -= begin;
        out.ast.nodes.push_back(std::move(n));
        out.ast.parents.push_back(i == node ? node - begin : c.ast.parents[i] - begin);
        out.types.push_back(c.types[i]);
        out.meanings.push_back(c.meanings[i]);
    }
    return out;
}

OPSPILOT_INLINE std::string key_of(const cel::detail::checked& c, std::uint32_t node) {
    using cel::detail::reference;
    std::string out;
    for (std::uint32_t i = c.ast.nodes[node].begin; i <= node; ++i) {
        const cel::detail::node& n = c.ast.nodes[i];
        const cel::detail::meaning& m = c.meanings[i];
        if (m.what == reference::absorbed) continue;
        const bool field = m.what == reference::field || m.what == reference::optional_field;
        // Each part has its length or an end of its own, so that no two nodes run into the same text.
        fmt::format_to(std::back_inserter(out), "{}.{}.{}.{}.{}:{}{};", static_cast<int>(n.kind), n.count, n.member ? 1 : 0,
                       static_cast<int>(m.what), n.name.size(), n.name, field ? fmt::format("@{}", id_of(m.where)) : "");
        if (!field && (n.integer != 0 || n.number != 0 || n.variables != 1))
            fmt::format_to(std::back_inserter(out), "{},{},{};", n.integer, std::bit_cast<std::uint64_t>(n.number), n.variables);
    }
    return out;
}

OPSPILOT_INLINE std::optional<literal> literal_of(const cel::detail::checked& c, std::uint32_t node) {
    using cel::detail::reference;
    for (std::uint32_t i = c.ast.nodes[node].begin; i <= node; ++i) {
        const cel::detail::meaning& m = c.meanings[i];
        if (m.what != reference::none && m.what != reference::type && m.what != reference::table && m.what != reference::lookup)
            return {};
        if (c.ast.nodes[i].kind == cel::detail::node_kind::slot) return {};
    }
    cel::detail::checked part = cut_out(c, node);
    auto p = std::make_shared<cel::detail::program>(cel::detail::lower(part, {}, nullptr, false));
    if (p->reads != cel::detail::reads_nothing || p->code.empty() || p->code[p->result].op != cel::detail::opcode::constant)
        return {};
    literal out{p->constants[p->code[p->result].a], p};
    if (out.value.failed()) return {};
    return out;
}

OPSPILOT_INLINE bool satisfied(comparison how, cel::ordering o) noexcept {
    switch (how) {
        case comparison::equal:
        case comparison::in: return o == cel::ordering::equal;
        case comparison::not_equal: return o != cel::ordering::equal;
        case comparison::less: return o == cel::ordering::less;
        case comparison::less_equal: return o == cel::ordering::less || o == cel::ordering::equal;
        case comparison::greater: return o == cel::ordering::greater;
        case comparison::greater_equal: return o == cel::ordering::greater || o == cel::ordering::equal;
    }
    return false;
}

OPSPILOT_INLINE std::optional<std::size_t> test::position(field_id f) const noexcept {
    for (std::size_t i = 0; i < reads.size(); ++i)
        if (reads[i].field == f) return i;
    return {};
}

/// Reads one test off a tree.
class test_reader {
public:
    test_reader(const cel::detail::checked& c, std::uint32_t node, const schema& s) : tree_(cut_out(c, node)), schema_(s) {
        root_ = tree_.ast.root();
    }

    test read() {
        find_reads();
        const std::vector<bounds> known = bounds_finder(tree_, schema_).run();
        out_.total = known[root_].total && tree_.types[root_] == cel::detail::types::boolean;
        find_words();
        find_keys();
        find_shape(known);
        compile();
        return std::move(out_);
    }

private:
    using kind = cel::detail::node_kind;
    static constexpr std::size_t most_keys = 64;

    [[nodiscard]] const cel::detail::node& node(std::uint32_t i) const { return tree_.ast.nodes[i]; }
    [[nodiscard]] std::uint32_t child(std::uint32_t i, std::uint32_t k) const { return tree_.ast.child(i, k); }

    void find_reads() {
        using cel::detail::reference;
        std::vector<char> strict(tree_.ast.nodes.size(), 0);
        strict[root_] = 1;
        for (std::uint32_t i = root_ + 1; i-- > 0;) {
            const cel::detail::node& n = node(i);
            for (std::uint32_t k = 0; k < n.count; ++k) {
                bool passes = true;  // whether a failing child makes the node fail
                if (n.kind == kind::and_ || n.kind == kind::or_ || n.kind == kind::maybe) passes = false;
                if (n.kind == kind::conditional) passes = k == 0;
                if (cel::detail::is_macro(n.kind)) passes = k == 0 && cel::detail::is_loop(n.kind);
                strict[child(i, k)] = strict[i] != 0 && passes ? 1 : 0;
            }
        }
        for (std::uint32_t i = 0; i <= root_; ++i) {
            const cel::detail::meaning& m = tree_.meanings[i];
            field_id f = time_of_decision;
            bool needed = strict[i] != 0;
            if (m.what == reference::field || m.what == reference::optional_field) {
                f = id_of(m.where);
                needed = needed && m.what == reference::field && node(i).kind == kind::select;
            } else if (m.what != reference::now) {
                continue;
            }
            if (const auto known = out_.position(f))
                out_.reads[*known].strict = out_.reads[*known].strict || needed;
            else
                out_.reads.push_back({f, needed});
        }
    }

    /// Texts and runs of letters in patterns: what rows are tried with.
    void find_words() {
        for (std::uint32_t i = 0; i <= root_; ++i) {
            const cel::detail::node& n = node(i);
            if (n.kind != kind::text || tree_.meanings[i].what == cel::detail::reference::table) continue;
            const std::uint32_t parent = tree_.ast.parents[i];
            const bool pattern = node(parent).kind == kind::call && node(parent).name == "matches" && parent != i;
            if (!pattern) {
                if (n.name.size() <= 256) out_.words.push_back(n.name);
                continue;
            }
            std::string word;
            for (std::size_t at = 0; at <= n.name.size() && out_.words.size() < 16; ++at) {
                const char ch = at < n.name.size() ? n.name[at] : '\0';
                if (ch == '\\' && at + 1 < n.name.size()) {  // \b, \d: no letter of the text
                    const char next = n.name[++at];
                    if (std::isalnum(static_cast<unsigned char>(next)) == 0) {
                        word += next;
                        continue;
                    }
                } else if (std::isalnum(static_cast<unsigned char>(ch)) != 0 || ch == ' ' || ch == '-' || ch == '_' ||
                           static_cast<unsigned char>(ch) >= 0x80) {
                    word += ch;
                    continue;
                }
                if (!word.empty()) out_.words.push_back(std::exchange(word, {}));
            }
        }
    }

    /// Keys of tables: a few for trying rows, and all where they and "any other text" are all that the test can tell apart.
    void find_keys() {
        using cel::detail::reference;
        bool only_keys = out_.reads.size() == 1;
        for (std::uint32_t i = 0; i <= root_; ++i) {
            const cel::detail::meaning& m = tree_.meanings[i];
            const std::uint32_t parent = tree_.ast.parents[i];
            if (m.what == reference::field || m.what == reference::optional_field || m.what == reference::now)
                only_keys = only_keys && text_field(i) && parent != i && tree_.meanings[parent].what == reference::lookup &&
                            child(parent, 1) == i;
            if (m.what != reference::lookup) continue;
            const cel::detail::lookup_table& table = tree_.tables->tables[m.index];
            if (table.key != cel::kind::text) continue;
            only_keys = only_keys && table.rows.size + out_.keys.size() <= most_keys;
            for (std::size_t r = 0; r < std::min<std::uint64_t>(table.rows.size, most_keys); ++r) {
                const std::string_view key = table.rows.entries[r].key.view();
                if (out_.words.size() < 16 && key.size() <= 256) out_.words.emplace_back(key);
                out_.keys.push_back(key);
            }
        }
        if (!only_keys) out_.keys.clear();
    }

    static std::optional<comparison> comparison_of(kind k) {
        switch (k) {
            case kind::equal: return comparison::equal;
            case kind::not_equal: return comparison::not_equal;
            case kind::less: return comparison::less;
            case kind::less_equal: return comparison::less_equal;
            case kind::greater: return comparison::greater;
            case kind::greater_equal: return comparison::greater_equal;
            case kind::in: return comparison::in;
            default: return {};
        }
    }
    static comparison mirrored(comparison how) {
        switch (how) {
            case comparison::less: return comparison::greater;
            case comparison::less_equal: return comparison::greater_equal;
            case comparison::greater: return comparison::less;
            case comparison::greater_equal: return comparison::less_equal;
            default: return how;
        }
    }
    /// Whether values of the type have an order in which `compare` answers.
    [[nodiscard]] static bool ordered(cel::detail::type_id t) {
        namespace types = cel::detail::types;
        return cel::detail::is_number(t) || t == types::text || t == types::timestamp || t == types::duration;
    }
    [[nodiscard]] bool same_order(cel::detail::type_id a, cel::detail::type_id b) const {
        return ordered(a) && ordered(b) && (a == b || (cel::detail::is_number(a) && cel::detail::is_number(b)));
    }
    [[nodiscard]] std::optional<field_id> text_field(std::uint32_t i) const {
        const cel::detail::meaning& m = tree_.meanings[i];
        if (m.what != cel::detail::reference::field || node(i).kind != kind::select) return {};
        if (tree_.types[i] != cel::detail::types::text) return {};
        return id_of(m.where);
    }

    void find_shape(const std::vector<bounds>& known) {
        const cel::detail::node& n = node(root_);
        out_.presence = n.kind == kind::has && tree_.meanings[root_].what == cel::detail::reference::field;
        if (n.kind == kind::call && n.member && n.count == 2) searched(n);
        if (n.kind == kind::in && tree_.pool.is_list(tree_.types[child(root_, 1)]) && node(child(root_, 0)).kind == kind::text) {
            out_.seeking = 'i';
            out_.sought = node(child(root_, 0)).name;
        }
        const auto how = comparison_of(n.kind);
        if (!how || n.count != 2) return;
        out_.how = *how;
        std::uint32_t subject = child(root_, 0), other = child(root_, 1);
        if (*how == comparison::in) {
            if (!members(subject, other)) return;
        } else if (auto right = literal_of(tree_, other)) {
            out_.constants.push_back(std::move(*right));
        } else if (auto left = literal_of(tree_, subject)) {
            out_.constants.push_back(std::move(*left));
            std::swap(subject, other);
            out_.how = mirrored(*how);
        } else {
            return relation(subject, other, known);
        }
        for (const literal& l : out_.constants)
            if (!same_order(cel::detail::type_of_kind(l.value.what), tree_.types[subject]) ||
                (l.value.is(cel::kind::number) && std::isnan(l.value.number))) {
                out_.constants.clear();
                return;
            }
        out_.subject = key_of(tree_, subject);
        out_.subject_type = tree_.types[subject];
        out_.known = known[subject];
        if (text_field(subject) && (*how == comparison::equal || *how == comparison::not_equal || *how == comparison::in)) {
            out_.shape = test::form::text;
            return;
        }
        out_.way = chain::of(tree_, subject);
        out_.shape = out_.way ? test::form::chain : test::form::term;
    }
    void searched(const cel::detail::node& n) {
        auto part = literal_of(tree_, child(root_, 1));
        if (!part || !part->value.is(cel::kind::text) || !text_field(child(root_, 0))) return;
        out_.sought = std::string(part->value.view());
        if (n.name == "contains") out_.seeking = 'c';
        if (n.name == "endsWith") out_.seeking = 'e';
        if (n.name == "matches") out_.seeking = 'm';
        if (n.name != "startsWith") return;
        out_.shape = test::form::prefix;
        out_.constants.push_back(std::move(*part));
    }
    /// x in [a, b]: the constants are the items.
    bool members(std::uint32_t subject, std::uint32_t list) {
        auto all = literal_of(tree_, list);
        if (!all || !all->value.is(cel::kind::list) || literal_of(tree_, subject)) return false;
        for (std::size_t i = 0; i < all->value.size; ++i)
            out_.constants.push_back({cel::item_at(all->value, i, nullptr), all->owner});
        return true;
    }
    void relation(std::uint32_t left, std::uint32_t right, const std::vector<bounds>& known) {
        if (!same_order(tree_.types[left], tree_.types[right])) return;
        out_.shape = test::form::relation;
        out_.subject = key_of(tree_, left);
        out_.other = key_of(tree_, right);
        out_.subject_type = tree_.types[left];
        out_.other_type = tree_.types[right];
        out_.known = known[left];
        out_.other_known = known[right];
        out_.plain_texts = text_field(left) && text_field(right);
        out_.way = chain::of(tree_, left);
        out_.other_way = chain::of(tree_, right);
        if (out_.subject > out_.other) {
            std::swap(out_.subject, out_.other);
            std::swap(out_.way, out_.other_way);
            std::swap(out_.subject_type, out_.other_type);
            std::swap(out_.known, out_.other_known);
            out_.how = mirrored(out_.how);
            out_.swapped = true;
        }
        const auto may_be_nan = [&](std::uint32_t i) { return tree_.types[i] == cel::detail::types::number && known[i].nan; };
        out_.known.nan = may_be_nan(left) || may_be_nan(right);
    }

    /// Fields become variables, so that the test runs without tables.
    void compile() {
        using cel::detail::reference;
        std::vector<std::pair<std::string, cel::detail::type_id>> variables;
        for (std::size_t i = 0; i < 3 * out_.reads.size(); ++i)
            variables.emplace_back(fmt::format("v{}", i), cel::detail::types::dyn);
        for (std::uint32_t i = 0; i <= root_; ++i) {
            cel::detail::meaning& m = tree_.meanings[i];
            const bool time = m.what == reference::now;
            if (!time && m.what != reference::field && m.what != reference::optional_field) continue;
            const std::size_t at = *out_.position(time ? time_of_decision : id_of(m.where));
            const std::size_t as = m.what == reference::optional_field ? 1 : node(i).kind == kind::has ? 2 : 0;
            m.index = static_cast<std::uint32_t>(3 * at + as);
            m.what = reference::variable;
        }
        out_.run = cel::detail::lower(tree_, variables, nullptr, false);
    }

    cel::detail::checked tree_;
    const schema& schema_;
    std::uint32_t root_ = 0;
    test out_;
};

OPSPILOT_INLINE bool test_library::may_be_missing(field_id f) const noexcept {
    if (f == time_of_decision) return false;
    const field& declared = schema_.at(path_of(f));
    return declared.default_value.index() == 0 && (declared.optional || declared.max_age_us != 0);
}

OPSPILOT_INLINE std::uint32_t test_library::enter(const cel::detail::checked& c, std::uint32_t node) {
    std::string key = key_of(c, node);
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    test t = test_reader(c, node, schema_).read();
    t.key = key;
    tests_.push_back(std::move(t));
    known_.emplace(std::move(key), size() - 1);
    return size() - 1;
}

OPSPILOT_INLINE condition test_library::take_apart(cel::detail::checked c) {
    using cel::detail::node_kind;
    namespace types = cel::detail::types;
    condition out;
    // Nodes that connect, from the root down; their indices in rising order are children first.
    std::vector<std::uint32_t> nodes, open{c.ast.root()};
    const auto boolean = [&](std::uint32_t i) { return c.types[i] == types::boolean; };
    const auto join_of = [&](std::uint32_t i) {
        const cel::detail::node& n = c.ast.nodes[i];
        switch (n.kind) {
            case node_kind::and_: return junction::both;
            case node_kind::or_: return junction::either;
            case node_kind::not_: return junction::opposite;
            case node_kind::conditional: return boolean(i) ? junction::choice : junction::test;
            case node_kind::equal:
            case node_kind::not_equal:
                if (!boolean(c.ast.child(i, 0)) || !boolean(c.ast.child(i, 1))) return junction::test;
                return n.kind == node_kind::equal ? junction::same : junction::different;
            default: return junction::test;
        }
    };
    while (!open.empty()) {
        const std::uint32_t i = open.back();
        open.pop_back();
        nodes.push_back(i);
        if (join_of(i) == junction::test) continue;
        for (std::uint32_t k = 0; k < c.ast.nodes[i].count; ++k) open.push_back(c.ast.child(i, k));
    }
    std::sort(nodes.begin(), nodes.end());
    const auto part_of = [&](std::uint32_t node) {
        return static_cast<std::uint32_t>(std::lower_bound(nodes.begin(), nodes.end(), node) - nodes.begin());
    };
    for (const std::uint32_t i : nodes) {
        part p;
        p.how = join_of(i);
        if (p.how == junction::test) {
            const std::uint32_t number = enter(c, i);
            const auto at = std::find(out.tests.begin(), out.tests.end(), number);
            p.a = static_cast<std::uint32_t>(at - out.tests.begin());
            if (at == out.tests.end()) out.tests.push_back(number);
        } else {
            p.a = part_of(c.ast.child(i, 0));
            if (c.ast.nodes[i].count > 1) p.b = part_of(c.ast.child(i, 1));
            if (c.ast.nodes[i].count > 2) p.c = part_of(c.ast.child(i, 2));
        }
        out.parts.push_back(p);
        out.nodes.push_back(i);
    }
    out.source = c.ast.source;
    out.tree = std::move(c);
    return out;
}

OPSPILOT_INLINE bench::bench() : memory_(std::size_t{4} << 20) { machine_.memory = &memory_; }

OPSPILOT_INLINE outcomes bench::run(const test& t, std::span<const holding> values) {
    memory_.reset();
    variables_.assign(3 * t.reads.size(), {});
    insides_.clear();
    for (std::size_t i = 0; i < t.reads.size(); ++i) {
        variables_[3 * i + 2] = cel::make_boolean(values[i].has_value());
        if (!values[i]) {
            variables_[3 * i + 1] = cel::make_optional(nullptr);
            continue;
        }
        variables_[3 * i] = *values[i];
        insides_.push_back(*values[i]);
        variables_[3 * i + 1] = cel::make_optional(&insides_.back());
    }
    machine_.variables = variables_.data();
    const cel::value v = cel::detail::run_all(t.run, machine_);
    return !v.is(cel::kind::boolean) ? fails : v.boolean ? holds : lapses;
}

}  // namespace opspilot::detail::analysis
