/// \file
/// Internal: finding a text in another in linear time, whatever both are.
#pragma once

#include <cstdint>
#include <string_view>

#include "opspilot/policy/cel/value.hpp"

namespace opspilot::cel::detail {

/// Short texts are looked for by comparing at each place; long ones by Knuth, Morris and Pratt, with a table in the arena.
class searcher {
public:
    searcher(std::string_view part, arena& memory) : part_(part) {
        if (part.size() <= short_part) return;
        table_ = memory.array<std::uint32_t>(part.size());
        if (table_ == nullptr) return;
        table_[0] = 0;
        for (std::uint32_t i = 1, k = 0; i < part.size(); ++i) {
            while (k > 0 && part[i] != part[k]) k = table_[k - 1];
            if (part[i] == part[k]) ++k;
            table_[i] = k;
        }
    }

    /// False when the arena had no room.
    [[nodiscard]] bool ok() const noexcept { return part_.size() <= short_part || table_ != nullptr; }

    /// First place at or after `from`, or npos.
    [[nodiscard]] std::size_t find(std::string_view text, std::size_t from) const noexcept {
        if (part_.size() <= short_part) return text.find(part_, from);
        std::uint32_t k = 0;
        for (std::size_t i = from; i < text.size(); ++i) {
            while (k > 0 && text[i] != part_[k]) k = table_[k - 1];
            if (text[i] == part_[k] && ++k == part_.size()) return i + 1 - part_.size();
        }
        return std::string_view::npos;
    }

    /// Last place at or before `last`, or npos.
    [[nodiscard]] std::size_t find_last(std::string_view text, std::size_t last) const noexcept {
        if (part_.size() <= short_part) return text.rfind(part_, last);
        std::uint32_t k = 0;
        std::size_t found = std::string_view::npos;
        for (std::size_t i = 0; i < text.size() && i < last + part_.size(); ++i) {
            while (k > 0 && text[i] != part_[k]) k = table_[k - 1];
            if (text[i] == part_[k] && ++k == part_.size()) {
                found = i + 1 - part_.size();
                k = table_[k - 1];
            }
        }
        return found;
    }

    [[nodiscard]] std::string_view part() const noexcept { return part_; }

private:
    static constexpr std::size_t short_part = 16;
    std::string_view part_;
    std::uint32_t* table_ = nullptr;
};

}  // namespace opspilot::cel::detail
