/// \file
/// Internal: JSON by appending to a string.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "opspilot/base/text.hpp"

namespace opspilot::detail {

/// Writes the parts of one line. Commas come by themselves; nesting is the caller's to keep in order.
class line_writer {
public:
    explicit line_writer(std::string& out) noexcept : out_(out) {}

    void open(char bracket) {
        separate();
        out_ += bracket;
        first_ = true;
    }
    void close(char bracket) {
        out_ += bracket;
        first_ = false;
    }
    /// Keys are ours: ASCII without anything to escape.
    void key(std::string_view name) {
        separate();
        out_ += '"';
        out_ += name;
        out_ += "\":";
        first_ = true;  // no comma between a key and its value
    }
    void text(std::string_view value) {
        separate();
        out_ += '"';
        if (valid_utf8(value)) {
            escape(value);
        } else {
            while (!value.empty()) {
                const std::size_t good = utf8_error_offset(value);
                escape(value.substr(0, good));
                value.remove_prefix(good);
                if (value.empty()) break;
                out_ += "\xEF\xBF\xBD";
                value.remove_prefix(1);
            }
        }
        out_ += '"';
    }
    void boolean(bool value) {
        separate();
        out_ += value ? "true" : "false";
    }
    void number(double value) {
        separate();
        if (!std::isfinite(value)) {
            out_ += "null";
            return;
        }
        if (value == 0.0 && std::signbit(value))
            out_ += "-0.0";  // "-0" would read as the integer 0
        else
            digits(value);
    }
    template <class Integer>
    void integer(Integer value) {
        separate();
        digits(value);
    }
    /// JSON that stands already; line ends can only be white space between its tokens.
    void raw(std::string_view standing) {
        separate();
        const std::size_t from = out_.size();
        out_ += standing;
        for (std::size_t i = from; i < out_.size(); ++i)
            if (out_[i] == '\n' || out_[i] == '\r') out_[i] = ' ';
    }

private:
    void separate() {
        if (!first_) out_ += ',';
        first_ = false;
    }
    template <class Number>
    void digits(Number value) {
        char buffer[32];
        const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
        out_.append(buffer, static_cast<std::size_t>(end.ptr - buffer));
    }
    void escape(std::string_view value) {
        constexpr char hex[] = "0123456789abcdef";
        std::size_t done = 0;
        for (std::size_t i = 0; i < value.size(); ++i) {
            const auto byte = static_cast<unsigned char>(value[i]);
            if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
            out_.append(value, done, i - done);
            done = i + 1;
            switch (byte) {
                case '"': out_ += "\\\""; break;
                case '\\': out_ += "\\\\"; break;
                case '\n': out_ += "\\n"; break;
                case '\r': out_ += "\\r"; break;
                case '\t': out_ += "\\t"; break;
                default:
                    out_ += "\\u00";
                    out_ += hex[byte >> 4];
                    out_ += hex[byte & 15];
            }
        }
        out_.append(value, done);
    }

    std::string& out_;
    bool first_ = true;
};

}  // namespace opspilot::detail
