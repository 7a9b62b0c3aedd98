/// \file
/// Internal: where the values of a JSON document stand in its text, for messages with line and column.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

namespace opspilot::detail {

/// Built from text that parses as JSON; for other text it knows only the beginning.
class json_places {
public:
    explicit json_places(std::string_view text);

    /// First byte of the value a JSON pointer names; of the nearest enclosing value that exists when it does not.
    [[nodiscard]] std::size_t value(std::string_view pointer) const;
    /// First byte of the key of that value; of the value for array items and the whole document.
    [[nodiscard]] std::size_t key(std::string_view pointer) const;
    /// The byte of the text that byte `offset` of a decoded string comes from; `pointer` names the string.
    [[nodiscard]] std::size_t inside(std::string_view pointer, std::size_t offset) const;

    /// "line 3 column 18", columns in code points.
    [[nodiscard]] std::string line_and_column(std::size_t offset) const;

private:
    struct place {
        std::size_t key = 0, value = 0;
    };
    [[nodiscard]] place find(std::string_view pointer) const;
    void scan();

    std::string_view text_;
    std::unordered_map<std::string, place> places_;
};

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/json_places-inl.hpp"
#endif
