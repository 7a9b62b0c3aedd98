#pragma once

#include <algorithm>
#include <utility>

#include "opspilot/policy/detail/cel/program.hpp"

namespace opspilot::cel::detail {

/// Copies a value into an arena; false when it does not fit. Recursion is as deep as an expression's literals nest.
inline bool deep_copy(const value& v, arena& memory, dictionary* strings, value& out) {
    out = v;
    switch (v.what) {
        case kind::error: {  // what it is about may be a part of a literal
            if (v.data == nullptr) return true;
            const std::string_view kept = memory.copy(v.error_subject());
            out.data = kept.data();
            return kept.data() != nullptr;
        }
        case kind::text:
        case kind::bytes: {
            const std::string_view kept = memory.copy(v.view());
            if (kept.data() == nullptr) return false;
            out = v.is(kind::bytes) ? make_bytes(kept) : make_text(kept, strings == nullptr ? no_code : strings->insert(kept));
            return true;
        }
        case kind::list:
        case kind::optional: {
            value* const items = memory.array<value>(v.size);
            if (items == nullptr) return false;
            for (std::size_t i = 0; i < v.size; ++i)
                if (!deep_copy(v.items[i], memory, strings, items[i])) return false;
            out.items = items;
            return true;
        }
        case kind::map: {
            map_entry* const entries = memory.array<map_entry>(v.size);
            if (entries == nullptr) return false;
            for (std::size_t i = 0; i < v.size; ++i)
                if (!deep_copy(v.entries[i].key, memory, strings, entries[i].key) ||
                    !deep_copy(v.entries[i].item, memory, strings, entries[i].item))
                    return false;
            out.entries = entries;
            return true;
        }
        default: return true;
    }
}

/// Emits code for the nodes in their order. Three passes over the same walk: constant subtrees are evaluated and become
/// constants, task-only subtrees go into the task part, everything else into the main part.
class lowering {
public:
    lowering(checked& c, std::span<const std::pair<std::string, type_id>> variables, dictionary* strings, bool policy_use)
        : c_(c), ast_(c.ast), strings_(strings), policy_use_(policy_use) {
        for (const auto& [name, type] : variables) p_.variables.push_back(name);
        p_.slots = ast_.slots;
        p_.memory = std::make_shared<arena>(std::size_t{16} << 20);
    }

    program run() {
        reads_ = find_reads(c_);
        const std::uint32_t n = static_cast<std::uint32_t>(ast_.nodes.size());
        registers_.assign(n, 0);
        markers_.assign(n, {});
        done_.assign(n, false);
        each_top(reads_nothing, [&](index top) { fold(top); });
        p_.task_begin = size();
        each_top(reads_task, [&](index top) { emit_range(ast_.nodes[top].begin, top); });
        p_.main_begin = size();
        emit_range(0, n - 1);
        p_.result = registers_[n - 1];
        p_.reads = reads_[n - 1];
        find_guards();
        sort_remarks(c_.remarks);
        return std::move(p_);
    }

private:
    using index = std::uint32_t;
    struct marker {
        std::uint32_t at = 0;  // instruction of the guard, branch, jump or loop that stands after this node
    };

    [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(p_.code.size()); }
    /// A part of a name or record, or the name of a table: no instruction stands for it.
    [[nodiscard]] bool is_silent(index i) const noexcept {
        return c_.meanings[i].what == reference::absorbed || c_.meanings[i].what == reference::table;
    }

    /// Whether node i reads no more than `mask`, and its parent does: the top of a subtree of that colour.
    [[nodiscard]] bool is_top(index i, std::uint32_t mask) const noexcept {
        if (is_silent(i) || (reads_[i] & ~mask) != 0 || (mask != reads_nothing && reads_[i] == reads_nothing)) return false;
        const index parent = ast_.parents[i];
        if (parent == i) return true;
        const std::uint32_t above = reads_[parent];
        return mask == reads_nothing ? above != reads_nothing : (above & ~mask) != 0;
    }

    /// Calls `use` for the largest subtrees that read no more than `mask`, and marks their nodes as done.
    template <class F>
    void each_top(std::uint32_t mask, F&& use) {
        for (index i = ast_.root() + 1; i-- > 0;) {
            if (done_[i] || !is_top(i, mask)) continue;
            use(i);
            const index begin = ast_.nodes[i].begin;
            for (index k = begin; k <= i; ++k) done_[k] = true;
            i = begin;
        }
    }

    /// Whether the node's own instruction belongs to the part being emitted; those of done subtrees stand already.
    [[nodiscard]] bool needs_code(index i) const noexcept { return !is_silent(i) && !done_[i]; }

    void emit_range(index from, index to) {
        for (index i = from; i <= to; ++i) {
            if (needs_code(i)) registers_[i] = put(translate(i));
            if (i != to) after(i);
        }
    }

    /// What must stand between a child and the next one. Subtrees that are done need nothing inside them.
    void after(index i) {
        const index parent = ast_.parents[i];
        const node& n = ast_.nodes[parent];
        if (parent == i || !needs_code(parent)) return;
        const std::uint32_t reg = registers_[i];
        switch (n.kind) {
            case node_kind::and_:
            case node_kind::or_:
                if (ast_.child(parent, 0) != i) return;
                markers_[i].at =
                    put({n.kind == node_kind::and_ ? opcode::and_guard : opcode::or_guard, 0, 0, reg, 0, 0, n.offset});
                return;
            case node_kind::conditional:
                if (ast_.child(parent, 0) == i) markers_[i].at = put({opcode::branch, 0, 0, reg, 0, 0, n.offset});
                if (ast_.child(parent, 1) == i) markers_[i].at = put({opcode::jump, 0, 0, 0, 0, 0, n.offset});
                return;
            default:
                if (!is_macro(n.kind)) return;
                if (ast_.child(parent, 0) == i)
                    markers_[i].at = put({opcode::loop, static_cast<std::uint8_t>(n.kind), n.variables, reg, 0,
                                          static_cast<std::uint32_t>(n.integer), n.offset});
                else if (is_filtered(n.kind) && ast_.child(parent, 1) == i)
                    markers_[i].at = put({opcode::loop_filter, 0, 0, reg, 0, static_cast<std::uint32_t>(n.integer), n.offset});
                return;
        }
    }

    std::uint32_t put(instruction i) {
        p_.code.push_back(i);
        return size() - 1;
    }
    std::uint32_t name_of(std::string_view name) {
        p_.names.emplace_back(name);
        return static_cast<std::uint32_t>(p_.names.size() - 1);
    }
    std::uint32_t constant(const value& v) {
        p_.constants.push_back(v);
        return static_cast<std::uint32_t>(p_.constants.size() - 1);
    }

    [[nodiscard]] std::uint32_t reg(index i, std::uint32_t child) const noexcept { return registers_[ast_.child(i, child)]; }

    instruction translate(index i) {
        const node& n = ast_.nodes[i];
        const meaning& m = c_.meanings[i];
        instruction out{opcode::constant, 0, 0, 0, 0, 0, n.offset};
        const auto binary = [&](opcode op) {
            out.op = op;
            out.a = reg(i, 0);
            if (n.count > 1) out.b = reg(i, 1);
            return out;
        };
        switch (m.what) {
            case reference::variable:
                out.op = opcode::variable;
                out.a = m.index;
                return out;
            case reference::path:
                out.op = opcode::path;
                out.a = path(m.index);
                out.b = c_.paths[m.index].offset;
                return out;
            case reference::now: out.op = opcode::now; return out;
            case reference::type: out.a = constant(make_type(static_cast<kind>(m.index))); return out;
            case reference::field:
            case reference::optional_field:
                out.op = n.kind == node_kind::has              ? opcode::has_field
                         : m.what == reference::optional_field ? opcode::optional_field
                                                               : opcode::field;
                out.a = static_cast<std::uint32_t>(m.where.where);
                out.b = m.where.index;
                out.c = name_of(n.name);
                return out;
            case reference::lookup:
                p_.tables = c_.tables;
                out.op = opcode::lookup;
                out.count = n.count;
                out.a = reg(i, 1);
                out.b = m.index;
                if (n.count > 2) out.c = reg(i, 2);
                return out;
            default: break;
        }
        switch (n.kind) {
            case node_kind::null: out.a = constant(make_null()); return out;
            case node_kind::boolean: out.a = constant(make_boolean(n.integer != 0)); return out;
            case node_kind::integer: out.a = constant(make_integer(n.integer)); return out;
            case node_kind::uinteger: out.a = constant(make_uinteger(static_cast<std::uint64_t>(n.integer))); return out;
            case node_kind::number: out.a = constant(make_number(n.number)); return out;
            case node_kind::text: out.a = constant(make_text(n.name)); return out;
            case node_kind::bytes: out.a = constant(make_bytes(n.name)); return out;
            case node_kind::slot:
                out.op = opcode::slot;
                out.a = static_cast<std::uint32_t>(n.integer);
                return out;
            case node_kind::variable:
                out.op = opcode::unknown;
                out.b = name_of(n.name);
                return out;
            case node_kind::select:
            case node_kind::optional_select:
            case node_kind::has:
                out.op = n.kind == node_kind::has      ? opcode::has
                         : n.kind == node_kind::select ? opcode::select
                                                       : opcode::optional_select;
                out.a = reg(i, 0);
                out.b = name_of(n.name);
                return out;
            case node_kind::index: return binary(opcode::index);
            case node_kind::optional_index: return binary(opcode::optional_index);
            case node_kind::maybe: return binary(opcode::maybe);
            case node_kind::negate: return binary(opcode::negate);
            case node_kind::not_: return binary(opcode::not_);
            case node_kind::add: return binary(opcode::add);
            case node_kind::subtract: return binary(opcode::subtract);
            case node_kind::multiply: return binary(opcode::multiply);
            case node_kind::divide: return binary(opcode::divide);
            case node_kind::modulo: return binary(opcode::modulo);
            case node_kind::equal: return binary(opcode::equal);
            case node_kind::not_equal: return binary(opcode::not_equal);
            case node_kind::less: return binary(opcode::less);
            case node_kind::less_equal: return binary(opcode::less_equal);
            case node_kind::greater: return binary(opcode::greater);
            case node_kind::greater_equal: return binary(opcode::greater_equal);
            case node_kind::in: return binary(opcode::in);
            case node_kind::and_:
            case node_kind::or_:
                p_.code[markers_[ast_.child(i, 0)].at].b = size();
                return binary(n.kind == node_kind::and_ ? opcode::and_ : opcode::or_);
            case node_kind::conditional: {
                const std::uint32_t branch = markers_[ast_.child(i, 0)].at, jump = markers_[ast_.child(i, 1)].at;
                p_.code[branch].b = jump + 1;
                p_.code[branch].c = size();
                p_.code[jump].b = size();
                binary(opcode::choose);
                out.c = reg(i, 2);
                return out;
            }
            case node_kind::call: return call(i);
            case node_kind::list:
            case node_kind::map:
                out.op = n.kind == node_kind::list ? opcode::list : opcode::map;
                out.a = static_cast<std::uint32_t>(p_.arguments.size());
                out.count = n.count;
                for (std::uint32_t c = 0; c < n.count; ++c) p_.arguments.push_back(reg(i, c));
                return out;
            default: {  // macros
                const std::uint32_t begin = markers_[ast_.child(i, 0)].at;
                p_.code[begin].b = size();
                out.op = opcode::loop_end;
                out.flag = static_cast<std::uint8_t>(n.kind);
                out.count = n.variables;
                out.a = reg(i, is_filtered(n.kind) ? 2 : 1);
                out.b = begin;
                out.c = static_cast<std::uint32_t>(n.integer);
                if (is_filtered(n.kind)) p_.code[markers_[ast_.child(i, 1)].at].b = size();
                return out;
            }
        }
    }

    std::uint32_t variable(const std::string& name) {
        auto at = std::find(p_.variables.begin(), p_.variables.end(), name);
        if (at == p_.variables.end()) at = p_.variables.insert(p_.variables.end(), name);
        return static_cast<std::uint32_t>(at - p_.variables.begin());
    }

    std::uint32_t path(std::uint32_t which) {
        const dynamic_path& given = c_.paths[which];
        path_step step;
        step.named = given.named;
        std::string full;
        for (const std::string& name : given.names) {
            full += (full.empty() ? "" : ".") + name;
            // Filled from the back: the outermost container first, the shortest name first.
            const auto length = static_cast<std::uint32_t>(step.names.size() + 1);
            step.choices.push_back({variable(full), length});
            for (std::size_t dot = 0; dot < given.container.size();) {
                dot = std::min(given.container.find('.', dot + 1), given.container.size());
                step.choices.push_back({variable(given.container.substr(0, dot) + "." + full), length});
            }
            p_.names.push_back(name);
            step.names.push_back(p_.names.back());
        }
        std::reverse(step.choices.begin(), step.choices.end());
        p_.paths.push_back(std::move(step));
        return static_cast<std::uint32_t>(p_.paths.size() - 1);
    }

    instruction call(index i) {
        const node& n = ast_.nodes[i];
        instruction out{opcode::unknown, 0, n.count, 0, 0, 0, n.offset};
        const auto known = std::find_if(overloads().begin(), overloads().end(), [&](const overload& o) {
            return o.name == n.name && o.member == n.member && o.takes(n.count);
        });
        if (known == overloads().end()) {
            out.b = name_of(n.name);
            return out;
        }
        if (known->function == builtin::matches) {
            const index pattern = ast_.child(i, 1);
            if (ast_.nodes[pattern].kind == node_kind::text) return search(i, pattern);
            if (policy_use_)
                c_.remarks.push_back({{"policy.regex_not_constant", "the pattern of matches() must be a text in quotes",
                                       "write one matches() per pattern", ast_.nodes[pattern].offset, 1},
                                      true});
        }
        out.op = opcode::call;
        out.flag = static_cast<std::uint8_t>(known->function);
        out.b = static_cast<std::uint32_t>(known - overloads().begin());
        out.a = static_cast<std::uint32_t>(p_.arguments.size());
        for (std::uint32_t c = 0; c < n.count; ++c) p_.arguments.push_back(reg(i, c));
        return out;
    }

    instruction search(index i, index pattern) {
        const node& p = ast_.nodes[pattern];
        instruction out{opcode::search, 0, 0, reg(i, 0), static_cast<std::uint32_t>(p_.regexes.size()), 0, ast_.nodes[i].offset};
        auto compiled = regex::compile(p.name);
        if (!compiled) {
            c_.remarks.push_back(
                {{compiled.error().code, compiled.error().message, compiled.error().hint, p.offset, p.stop - p.start}, true});
            p_.regexes.push_back(nullptr);
            return out;
        }
        if (const std::string simpler = simpler_than_regex(p.name); !simpler.empty() && policy_use_)
            c_.remarks.push_back({{"policy.regex_is_plain", "this pattern needs no regular expression", "write " + simpler,
                                   p.offset, p.stop - p.start},
                                  false});
        p_.regexes.push_back(std::move(*compiled));
        return out;
    }

    /// Evaluates a constant subtree now. Its value may be an error, which then stands for the subtree.
    void fold(index top) {
        const std::size_t constants = p_.constants.size();
        std::vector<instruction> kept = std::move(p_.code);
        p_.code.clear();
        emit_range(ast_.nodes[top].begin, top);
        value v;
        arena temporary(std::size_t{4} << 20);
        if (ast_.nodes[top].count == 0 && p_.code.back().op == opcode::constant) {
            v = p_.constants.back();
        } else {
            machine m;
            m.memory = &temporary;
            m.prepare(p_);
            detail::run(p_, m, 0, size());
            v = m.registers[registers_[top]];
        }
        value lasting;
        if (!deep_copy(v, *p_.memory, strings_, lasting)) lasting = make_error(fault::memory_limit, ast_.nodes[top].offset);
        p_.code = std::move(kept);
        p_.constants.resize(constants);
        registers_[top] = put({opcode::constant, 0, 0, constant(lasting), 0, 0, ast_.nodes[top].offset});
    }

    /// Task-only operands of the conjunction at the root: when one is not true, no candidate can match.
    void find_guards() {
        std::vector<index> open{ast_.root()};
        while (!open.empty()) {
            const index i = open.back();
            open.pop_back();
            if ((reads_[i] & ~static_cast<std::uint32_t>(reads_task)) == 0) {
                p_.guards.push_back(registers_[i]);
            } else if (ast_.nodes[i].kind == node_kind::and_) {
                open.push_back(ast_.child(i, 0));
                open.push_back(ast_.child(i, 1));
            }
        }
    }

    checked& c_;
    const tree& ast_;
    dictionary* strings_;
    bool policy_use_;
    program p_;
    std::vector<std::uint32_t> reads_;
    std::vector<std::uint32_t> registers_;
    std::vector<marker> markers_;
    std::vector<bool> done_;
};

OPSPILOT_INLINE program lower(checked& c, std::span<const std::pair<std::string, type_id>> variables, dictionary* strings,
                              bool policy_use) {
    return lowering(c, variables, strings, policy_use).run();
}

}  // namespace opspilot::cel::detail
