/// \file
/// Internal: an explainer that is made when it is first asked for. Most bundles are loaded to decide, and few are asked why.
#pragma once

#include <mutex>
#include <optional>
#include <utility>

#include "opspilot/rank/explain.hpp"

namespace opspilot::detail {

class lazy_explainer {
public:
    explicit lazy_explainer(tree_ensemble model) : model_(std::move(model)) {}

    /// The explainer, or why the model has none. Any number of threads; the first one compiles.
    [[nodiscard]] const result<tree_explainer>& get() const {
        std::call_once(once_, [&] {
            made_.emplace(tree_explainer::compile(*model_));
            model_.reset();  // the explainer has its own form
        });
        return *made_;
    }

private:
    mutable std::once_flag once_;
    mutable std::optional<tree_ensemble> model_;
    mutable std::optional<result<tree_explainer>> made_;
};

}  // namespace opspilot::detail
