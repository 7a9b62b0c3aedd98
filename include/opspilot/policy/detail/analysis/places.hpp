/// \file
/// Internal: where rules and invariants stand in their documents, once those are compiled.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/analysis/analysis.hpp"
#include "opspilot/policy/detail/json_places.hpp"
#include "opspilot/policy/detail/rules.hpp"

namespace opspilot::detail::analysis {

class document_places {
public:
    explicit document_places(const policy_parts& parts) {
        for (const policy_document& d : parts.documents) {
            const std::size_t number = documents_.size();
            documents_.push_back({d.text, json_places(d.text)});
            const auto parsed = parse_json(d.text, error_kind::policy);
            if (!parsed) continue;
            for (const char* list : {"rules", "invariants"})
                if (const auto items = parsed->find(list); items != parsed->end())
                    for (std::size_t i = 0; i < items->size(); ++i)
                        if ((*items)[i].is_object() && (*items)[i].contains("id") && (*items)[i]["id"].is_string())
                            pointers_.emplace(std::pair(number, list + ("\n" + (*items)[i]["id"].get<std::string>())),
                                              fmt::format("/{}/{}", list, i));
        }
    }

    /// A finding about byte `offset` of the text under `key` of a rule or an invariant.
    [[nodiscard]] policy_finding make(std::size_t document, const char* list, const std::string& id, std::string_view key,
                                      std::size_t offset, std::string_view code, std::string message, std::string hint) const {
        const auto at = pointers_.find(std::pair(document, list + ("\n" + id)));
        const entry& d = documents_[document];
        const std::string pointer = at == pointers_.end() ? std::string() : fmt::format("{}/{}", at->second, key);
        policy_finding f;
        f.code = code;
        f.rule = id;
        f.message = std::move(message);
        f.where = fmt::format("policy {} {}", quote(id), d.places.line_and_column(d.places.inside(pointer, offset)));
        f.hint = std::move(hint);
        add_excerpts({&f, 1}, d.text);
        return f;
    }

private:
    struct entry {
        std::string_view text;
        json_places places;
    };
    std::deque<entry> documents_;
    std::map<std::pair<std::size_t, std::string>, std::string> pointers_;
};

}  // namespace opspilot::detail::analysis
