/// \file
/// CEL expressions by themselves: compile once, evaluate with variables. The conditions of policy documents are the same
/// language over `task`, `action`, `candidate` and `now`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/policy/cel/value.hpp"

namespace opspilot::cel {

/// A declared variable; `type` is CEL's text of it: "int", "list(string)", "map(string, dyn)", …
struct variable {
    std::string name;
    std::string type;
};

struct options {
    std::span<const variable> variables = {};
    bool check = false;     ///< static types: unknown names and type errors refuse the expression; else they fail when evaluated
    std::string container;  ///< prefix under which names are looked up first
    std::size_t bytes = std::size_t{64} << 10;  ///< longest source
};

/// One thing found in the source, with its place.
struct remark {
    bool is_error = true;
    std::string_view code;
    std::string message, where, hint;
};

/// A compiled expression. Immutable; shared by any number of threads.
class OPSPILOT_API expression {
public:
    /// Errors: kind policy, place "line 1 column 7". `remarks` receives all findings, warnings too; may be null.
    [[nodiscard]] static result<expression> compile(std::string_view source, const options& how = {},
                                                    std::vector<remark>* remarks = nullptr);

    /// Names of the variables it may read; `evaluate` takes their values in this order.
    [[nodiscard]] std::span<const std::string> variables() const noexcept;

    /// CEL's text of the type the checker found; "dyn" when unchecked.
    [[nodiscard]] std::string type() const;

    /// The value, or an error value. `bound`: one per variable, unbound where there is none. Texts and lists of the result
    /// live in `memory`, in the expression or in `bound`. Bounded: too many steps or too much memory are errors.
    [[nodiscard]] value evaluate(std::span<const value> bound, arena& memory) const;

    /// An error value as an error with place: "division by zero", "line 1 column 3".
    [[nodiscard]] opspilot::error explain(const value& failed) const;

    [[nodiscard]] const std::string& source() const noexcept;

    struct impl;
    std::shared_ptr<const impl> state;
};

/// RFC 3339 and "1.5s" forms of times, for bindings. Errors: policy.bad_timestamp, policy.bad_duration.
[[nodiscard]] OPSPILOT_API result<value> timestamp_from_text(std::string_view text);
[[nodiscard]] OPSPILOT_API result<value> duration_from_text(std::string_view text);
[[nodiscard]] OPSPILOT_API std::string timestamp_text(const value& v);
[[nodiscard]] OPSPILOT_API std::string duration_text(const value& v);

}  // namespace opspilot::cel

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/cel/expression-inl.hpp"
#endif
