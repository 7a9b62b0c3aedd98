/// \file
/// Internal: the Prometheus text exposition format, version 0.0.4, by appending to a string.
/// Source: prometheus.io, "Exposition formats". OpenMetrics differs in the names of counter families and its end mark.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace opspilot::detail {

class metrics_writer {
public:
    explicit metrics_writer(std::string& out) noexcept : out_(out) {}

    /// Begins a family. Its samples follow; names and types are ours, help texts are ASCII without a backslash or line end.
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    }
    void sample(std::initializer_list<std::pair<std::string_view, std::string_view>> labels, std::uint64_t value) {
        out_ += name_;
        char before = '{';
        for (const auto& [label, text] : labels) {
            out_ += before;
            before = ',';
            out_ += label;
            out_ += "=\"";
            escape(text);
            out_ += '"';
        }
        if (labels.size() > 0) out_ += '}';
        fmt::format_to(std::back_inserter(out_), " {}\n", value);
    }
    /// One sample per name, in order.
    template <class Names, class Values>
    void samples(std::string_view label, const Names& names, const Values& values) {
        for (std::size_t i = 0; i < names.size(); ++i) sample({{label, names[i]}}, values[i]);
    }

private:
    void escape(std::string_view text) {
        for (const char c : text) switch (c) {
                case '\\': out_ += "\\\\"; break;
                case '"': out_ += "\\\""; break;
                case '\n': out_ += "\\n"; break;
                default: out_ += c;
            }
    }

    std::string& out_;
    std::string_view name_;
};

}  // namespace opspilot::detail
