/// \file
/// Internal: what a compiled policy set holds, and the scratch memory of its evaluation.
#pragma once

#include <memory>
#include <string>

#include "opspilot/policy/detail/columns/kernel.hpp"
#include "opspilot/policy/detail/columns/scratch.hpp"
#include "opspilot/policy/detail/repeats.hpp"
#include "opspilot/policy/detail/rules.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot {

struct policy_set::impl : detail::policy_parts {
    schema fields;
    std::string identity;        ///< SHA-256 hex of the documents in order of layers
    cel::detail::graph columns;  ///< all conditions
    bool diversifies = false;    ///< some rule does
};

struct policy_workspace::impl {
    cel::detail::machine machine;
    cel::arena memory{std::size_t{16} << 20};
    cel::detail::column_scratch columns;
    detail::repeat_counter repeats;
    const cel::detail::column_kernel* kernel = cel::detail::column_kernels().front();  ///< null: the scalar machine
};

struct policy_catalogue::impl {
    std::shared_ptr<const policy_set::impl> policy;  ///< whose it is; kept, so that no other can take its place
    cel::detail::prepared_catalogue columns;
};

namespace detail {

/// Points the scratch machine at one decision.
cel::detail::machine& machine_over(const frame& f, policy_workspace& scratch) noexcept;

/// Runs the documents' tests; `coverage[r]` counts the tests in which rule r acted without failing.
void run_policy_tests(const policy_set::impl& set, std::vector<policy_set::test_result>& results,
                      std::vector<std::uint32_t>& coverage);

}  // namespace detail
}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/policy_tests-inl.hpp"
#endif
