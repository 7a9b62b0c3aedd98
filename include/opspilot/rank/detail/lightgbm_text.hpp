/// \file
/// Internal: lines, keys and number lists of LightGBM's text format, with the byte they stand at.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/base/text.hpp"

namespace opspilot::detail {

/// A piece of the file and where it begins.
struct lightgbm_piece {
    std::string_view text;
    std::size_t at = 0;
    bool given = false;
};

inline opspilot::error lightgbm_error(std::string_view code, std::size_t at, std::string message, std::string hint = {}) {
    return {error_kind::model, code, std::move(message), fmt::format("byte {}", at), std::move(hint)};
}

/// Hands out whole lines. A line without its line feed means that the file was cut.
class lightgbm_lines {
public:
    explicit lightgbm_lines(std::string_view text) : text_(text) {}

    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    [[nodiscard]] bool done() const noexcept { return at_ == text_.size(); }

    [[nodiscard]] result<lightgbm_piece> next() {
        const std::size_t end = text_.find('\n', at_);
        if (end == std::string_view::npos)
            return lightgbm_error("model.truncated", text_.size(), "the file ends in the middle", "write the model again");
        const lightgbm_piece line{text_.substr(at_, end - at_), at_, true};
        if (const std::size_t bad = line.text.find('\r'); bad != std::string_view::npos)
            return lightgbm_error("model.line_ends", at_ + bad, "carriage return in a line",
                                  "the file was converted to Windows line ends; LightGBM writes plain line feeds");
        at_ = end + 1;
        return line;
    }

    /// The next line, which must be `want`.
    [[nodiscard]] status expect(std::string_view want) {
        OPSPILOT_TRY(const lightgbm_piece line, next());
        if (line.text != want)
            return lightgbm_error("model.unexpected_line", line.at,
                                  fmt::format("{} stands where '{}' is expected", quote(line.text), want));
        return {};
    }

private:
    std::string_view text_;
    std::size_t at_ = 0;
};

/// The values of a section's keys, in the order of a table of names.
template <std::size_t N>
class lightgbm_keys {
public:
    explicit lightgbm_keys(const std::array<std::string_view, N>& names) : names_(names) {}

    /// Takes a "key=value" line (or a bare key).
    [[nodiscard]] status take(const lightgbm_piece& line) {
        const std::size_t equals = std::min(line.text.find('='), line.text.size());
        const std::string_view key = line.text.substr(0, equals);
        const auto found = std::find(names_.begin(), names_.end(), key);
        if (found == names_.end())
            return lightgbm_error("model.unknown_key", line.at, fmt::format("unknown key {}", quote(key)),
                                  did_you_mean(key, names_));
        lightgbm_piece& value = values_[static_cast<std::size_t>(found - names_.begin())];
        if (value.given) return lightgbm_error("model.key_twice", line.at, fmt::format("'{}' is given twice", key));
        const std::size_t begin = std::min(equals + 1, line.text.size());
        value = {line.text.substr(begin), line.at + begin, true};
        return {};
    }
    [[nodiscard]] const lightgbm_piece& operator[](std::size_t k) const noexcept { return values_[k]; }
    [[nodiscard]] status require(std::size_t k, std::size_t at) const {
        if (!values_[k].given) return lightgbm_error("model.missing_key", at, fmt::format("'{}' is missing", names_[k]));
        return {};
    }
    [[nodiscard]] std::string_view name(std::size_t k) const noexcept { return names_[k]; }

private:
    const std::array<std::string_view, N>& names_;
    std::array<lightgbm_piece, N> values_{};
};

template <class T>
result<T> lightgbm_number(std::string_view text, std::size_t at, std::string_view what) {
    T value{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code == std::errc::result_out_of_range)
        return lightgbm_error("model.number_range", at, fmt::format("{} {} is out of range", what, quote(text)));
    if (code != std::errc{} || end != text.data() + text.size())
        return lightgbm_error("model.bad_number", at, fmt::format("{} {} is not a number of its kind", what, quote(text)));
    return value;
}

inline std::size_t lightgbm_items(std::string_view text) noexcept {
    return text.empty() ? 0 : 1 + static_cast<std::size_t>(std::count(text.begin(), text.end(), ' '));
}

/// Calls `f(item, byte)` for each of the `want` items, which single spaces separate.
template <class F>
status lightgbm_each(const lightgbm_piece& list, std::string_view what, std::size_t want, const F& f) {
    if (const std::size_t got = lightgbm_items(list.text); got != want)
        return lightgbm_error("model.count", list.at, fmt::format("{} has {} items where {} are announced", what, got, want));
    std::size_t begin = 0;
    for (std::size_t i = 0; i < want; ++i) {
        const std::size_t end = std::min(list.text.find(' ', begin), list.text.size());
        OPSPILOT_CHECK(f(list.text.substr(begin, end - begin), list.at + begin));
        begin = end + 1;
    }
    return {};
}

template <class T>
status lightgbm_numbers(const lightgbm_piece& list, std::string_view what, std::size_t want, std::vector<T>& out) {
    out.clear();
    return lightgbm_each(list, what, want, [&](std::string_view item, std::size_t at) -> status {
        OPSPILOT_TRY(const T value, lightgbm_number<T>(item, at, what));
        out.push_back(value);
        return {};
    });
}

}  // namespace opspilot::detail
