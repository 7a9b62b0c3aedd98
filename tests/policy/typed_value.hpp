// Values as the conformance cases write them: {"int": "5"}, {"list": [...]}, {"map": [[key, value], ...]}, ...
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "opspilot/policy/cel/expression.hpp"

namespace typed {

using json = nlohmann::json;
namespace cel = opspilot::cel;

inline std::string from_base64(const std::string& text) {
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        int v = -1;
        if (c >= 'A' && c <= 'Z') v = c - 'A';
        if (c >= 'a' && c <= 'z') v = c - 'a' + 26;
        if (c >= '0' && c <= '9') v = c - '0' + 52;
        if (c == '+') v = 62;
        if (c == '/') v = 63;
        if (v < 0) break;
        bits = (bits << 6) | static_cast<std::uint32_t>(v);
        if ((count += 6) >= 8) {
            count -= 8;
            out += static_cast<char>(static_cast<unsigned char>((bits >> count) & 0xFFU));
        }
    }
    return out;
}

inline double to_double(const std::string& text) {
    if (text == "NaN") return std::nan("");
    if (text == "Infinity") return HUGE_VAL;
    if (text == "-Infinity") return -HUGE_VAL;
    return std::strtod(text.c_str(), nullptr);
}

/// `texts` keeps what values point at.
struct store {
    std::deque<std::string> texts;
    cel::arena memory;
};

inline cel::value decode(const json& typed, store& keep) {
    const std::string key = typed.begin().key();
    const json& v = typed.begin().value();
    if (key == "null") return cel::make_null();
    if (key == "bool") return cel::make_boolean(v.get<bool>());
    if (key == "int") return cel::make_integer(std::strtoll(v.get<std::string>().c_str(), nullptr, 10));
    if (key == "uint") return cel::make_uinteger(std::strtoull(v.get<std::string>().c_str(), nullptr, 10));
    if (key == "double") return cel::make_number(to_double(v.get<std::string>()));
    if (key == "string") return cel::make_text(keep.texts.emplace_back(v.get<std::string>()));
    if (key == "bytes") return cel::make_bytes(keep.texts.emplace_back(from_base64(v.get<std::string>())));
    if (key == "timestamp") return cel::timestamp_from_text(v.get<std::string>()).value();
    if (key == "duration") return cel::duration_from_text(v.get<std::string>()).value();
    if (key == "type") {
        for (int k = 0; k <= static_cast<int>(cel::kind::optional); ++k)
            if (cel::type_name(static_cast<cel::kind>(k)) == v.get<std::string>())
                return cel::make_type(static_cast<cel::kind>(k));
    }
    if (key == "list") {
        cel::value* items = keep.memory.array<cel::value>(v.size());
        for (std::size_t i = 0; i < v.size(); ++i) items[i] = decode(v[i], keep);
        return cel::make_list({items, v.size()});
    }
    if (key == "map") {
        cel::map_entry* entries = keep.memory.array<cel::map_entry>(v.size());
        for (std::size_t i = 0; i < v.size(); ++i) entries[i] = {decode(v[i][0], keep), decode(v[i][1], keep)};
        if (!cel::sort_entries({entries, v.size()})) return {};
        return cel::make_map({entries, v.size()});
    }
    return {};
}

/// Kinds agree exactly and NaN matches NaN.
inline bool same(const cel::value& a, const cel::value& b) {
    if (a.what != b.what) return false;
    if (a.is(cel::kind::number)) {
        if (std::isnan(a.number) || std::isnan(b.number)) return std::isnan(a.number) && std::isnan(b.number);
        return a.number == b.number && std::signbit(a.number) == std::signbit(b.number);
    }
    if (a.is(cel::kind::list)) {
        if (a.size != b.size) return false;
        for (std::size_t i = 0; i < a.size; ++i)
            if (!same(cel::item_at(a, i, nullptr), cel::item_at(b, i, nullptr))) return false;
        return true;
    }
    if (a.is(cel::kind::map)) {
        if (a.size != b.size) return false;
        for (std::size_t i = 0; i < a.size; ++i)
            if (!same(a.entries[i].key, b.entries[i].key) || !same(a.entries[i].item, b.entries[i].item)) return false;
        return true;
    }
    return cel::equal(a, b);
}

}  // namespace typed
