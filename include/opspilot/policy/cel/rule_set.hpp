/// \file
/// Many conditions over the same candidates, evaluated at once: what policies use, for hosts and measurements without a policy.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/data/frame.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/policy/cel/expression.hpp"

namespace opspilot::cel {

/// Conditions in CEL over `task.x`, `action.x`, `candidate.x` and `now`, as in policy documents. Immutable; shared by any number
/// of threads.
class OPSPILOT_API rule_set {
public:
    /// An expression that the checker refuses, and why.
    struct refusal {
        std::size_t expression = 0;
        error why;
    };
    /// Wrong names and types refuse the set, unless `refused` takes them: what is in it fails for every candidate. Errors: kind
    /// policy, place "expression 3 line 1 column 7". Text constants are inserted into `strings`.
    [[nodiscard]] static result<rule_set> compile(std::span<const std::string> expressions, const schema& s, dictionary& strings,
                                                  std::vector<refusal>* refused = nullptr);

    [[nodiscard]] std::size_t size() const noexcept;

    /// What conditions give for a catalogue before any task is known. Immutable; belongs to the set that made it, and keeps it.
    struct catalogue {
        struct impl;
        std::shared_ptr<const impl> state;
    };
    [[nodiscard]] catalogue prepare(const table& actions, const interner& strings) const;

    /// Scratch of one thread.
    class OPSPILOT_API workspace {
    public:
        workspace();
        ~workspace();
        workspace(workspace&&) noexcept;
        workspace& operator=(workspace&&) noexcept;
        /// The engine of that name from here on, one of `engines()`; "" is the best. Errors: usage.unknown_engine.
        [[nodiscard]] status use(std::string_view engine);
        struct impl;
        std::unique_ptr<impl> state;
    };
    /// Names of the engines that this machine can run, best first.
    [[nodiscard]] static std::vector<std::string_view> engines();

    /// Rule by rule, a byte per candidate: `matched` where the condition holds, `failed` where it is an error or no bool. Both
    /// take size() * f.size() bytes. `ready`: prepared for the very table that is `f.actions`, or null.
    void evaluate(const frame& f, workspace& scratch, std::span<std::uint8_t> matched, std::span<std::uint8_t> failed,
                  const catalogue* ready = nullptr) const;

    struct impl;
    std::shared_ptr<const impl> state;
};

/// Rows of a role from CEL values, one column per field of the schema, an empty one for a field that has no value anywhere.
/// Unbound and null count as missing, whatever the schema says; NaN and infinities are numbers here, unlike in rows of features.
/// A timestamp must be of whole microseconds. Errors: schema.wrong_type, with the place "/row/field".
[[nodiscard]] OPSPILOT_API result<table> table_of_values(const schema& s, role r, std::span<const std::vector<value>> columns,
                                                         std::size_t rows, interner& strings);

}  // namespace opspilot::cel

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/cel/rule_set-inl.hpp"
#endif
