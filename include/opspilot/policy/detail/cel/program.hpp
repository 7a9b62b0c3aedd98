/// \file
/// Internal: a checked expression as a linear program, and the scalar machine that runs it.
///
/// Instruction i writes register i. The program has three parts: constants, what depends on the task alone, and the rest, so
/// that a decision over many candidates runs the first two once. No recursion; loops are bounded by a budget of steps.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "opspilot/data/frame.hpp"
#include "opspilot/policy/cel/value.hpp"
#include "opspilot/policy/detail/cel/checker.hpp"
#include "opspilot/policy/detail/cel/functions.hpp"
#include "opspilot/policy/detail/cel/reads.hpp"

namespace opspilot::cel::detail {

enum class opcode : std::uint8_t {
    constant,        ///< a = index into constants
    slot,            ///< a = slot of a macro variable
    variable,        ///< a = index of the variable
    path,            ///< a = index into paths
    field,           ///< a = role, b = field
    has_field,       ///< a = role, b = field
    optional_field,  ///< a = role, b = field: an optional
    now,
    select,           ///< a . names[b]
    optional_select,  ///< a .? names[b]
    has,              ///< has(a . names[b])
    index,            ///< a [ b ]
    optional_index,   ///< a [? b ]
    maybe,            ///< what is in the optional a; unbound when nothing is, which lists and maps leave out
    call,             ///< function `flag` on `count` registers at arguments[a]; of a library: overloads()[b]
    search,           ///< a matches regexes[b]
    unknown,          ///< unknown function names[b]
    lookup,           ///< of a in table b; `count` 3: else c
    negate,
    not_,
    add,
    subtract,
    multiply,
    divide,
    modulo,
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
    in,
    and_guard,  ///< a false: go to b
    or_guard,   ///< a true: go to b
    and_,
    or_,
    branch,  ///< a false: go to b (the other side); no bool: go to c (the choice)
    jump,    ///< go to b
    choose,  ///< a ? b : c
    list,    ///< `count` registers at arguments[a]
    map,
    loop,         ///< over a; `count` slots from c; ends at b
    loop_filter,  ///< a false: this item is skipped; loop ends at b, slot in c
    loop_end,     ///< kind of macro in `flag`; body a, begins at b, `count` slots from c
};

struct instruction {
    opcode op = opcode::constant;
    std::uint8_t flag = 0;
    std::uint32_t count = 0;
    std::uint32_t a = 0, b = 0, c = 0;
    std::uint32_t offset = 0;  ///< in the source, for errors
};

/// A chain of names, of which the first variable that is bound takes the front.
struct path_step {
    struct choice {
        std::uint32_t variable = 0;
        std::uint32_t length = 0;  ///< how many of the names it takes
    };
    std::vector<choice> choices;  ///< longest first, inner containers before outer ones
    std::vector<std::string_view> names;
    kind named = kind::unbound;
};

struct program {
    std::vector<instruction> code;
    std::uint32_t task_begin = 0;  ///< constants end here
    std::uint32_t main_begin = 0;  ///< what depends on the task alone ends here
    std::uint32_t result = 0;      ///< register
    std::uint32_t slots = 0;
    std::uint32_t reads = reads_nothing;
    std::vector<std::uint32_t> guards;  ///< registers of the task part that must all be true for the result to be true
    std::vector<std::uint32_t> arguments;
    std::vector<value> constants;
    std::vector<path_step> paths;
    std::vector<std::string> variables;  ///< names, in the order their values are given
    std::vector<std::shared_ptr<const regex>> regexes;
    std::shared_ptr<const lookup_set> tables;
    std::deque<std::string> names;  ///< stable addresses: values and errors point at them
    std::shared_ptr<arena> memory;  ///< of constants
};

struct loop_state {
    value range;
    value failure;  ///< first error of the body, for macros that absorb
    value* out = nullptr;
    map_entry* entries = nullptr;
    std::uint64_t at = 0, count = 0, made = 0;
    std::uint64_t room = 0;   ///< of `entries`
    std::uint32_t depth = 0;  ///< deepest value collected
    bool skipped = false;
};

/// What a program runs on. Reused, so that a warm machine allocates nothing.
struct machine {
    std::vector<value> registers;
    std::vector<value> slots;
    std::vector<loop_state> loops;
    arena* memory = nullptr;
    const interner* strings = nullptr;
    const value* variables = nullptr;
    const frame* where = nullptr;
    std::size_t candidate = 0;
    std::uint64_t steps = 0;
    std::uint64_t step_limit = 1'000'000;

    void prepare(const program& p);
};

/// Runs instructions [from, to). Results stay in the registers.
void run(const program& p, machine& m, std::uint32_t from, std::uint32_t to);

/// Runs everything and returns the result.
[[nodiscard]] value run_all(const program& p, machine& m);

/// Compiles a checked tree. `strings`: texts of the expression get codes of this dictionary; may be null.
/// Problems (bad regular expressions, constant conditions that cannot work) go to `c.remarks`.
/// `policy_use`: regular expressions must be constant.
[[nodiscard]] program lower(checked& c, std::span<const std::pair<std::string, type_id>> variables, dictionary* strings,
                            bool policy_use);

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/lower-inl.hpp"
#include "opspilot/policy/detail/cel/machine-inl.hpp"
#endif
