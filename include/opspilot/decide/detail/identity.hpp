/// \file
/// Internal: the id of a decision, a hash of what it was made from.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "opspilot/base/hash.hpp"
#include "opspilot/data/frame.hpp"

namespace opspilot::detail {

inline std::uint32_t action_id_field(const frame& f) noexcept { return *f.actions->schema_of().find(role::action, "id"); }

inline void append_word(std::string& out, std::uint64_t word) {
    char bytes[sizeof word];
    for (std::size_t i = 0; i < sizeof word; ++i) bytes[i] = static_cast<char>(static_cast<unsigned char>(word >> (8 * i)));
    out.append(bytes, sizeof word);
}

template <class T>
inline std::uint64_t hash_slice(const std::vector<T>& values, std::size_t first, std::size_t count) noexcept {
    return xxh3({reinterpret_cast<const char*>(values.data() + first), count * sizeof(T)});
}

/// Codes of strings outside the frozen dictionary differ between workspaces, so their texts are hashed instead.
inline std::uint64_t hash_codes(const std::vector<std::uint32_t>& codes, std::size_t first, std::size_t count,
                                const interner& strings) noexcept {
    bool frozen = true;
    for (std::size_t i = 0; i < count; ++i)
        frozen = frozen && (codes[first + i] < strings.frozen().size() || codes[first + i] == no_code);
    if (frozen) return hash_slice(codes, first, count);
    std::uint64_t hash = count;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t code = codes[first + i];
        hash = code == no_code ? xxh3("\xFF", hash) : xxh3(strings.text(code), hash);
    }
    return hash;
}

/// Appends one hash per column of `count` rows.
inline void append_rows(std::string& out, const table& t, std::size_t first, std::size_t count, const interner& strings) {
    const std::span<const field> fields = t.schema_of().fields(t.role_of());
    for (std::uint32_t j = 0; j < fields.size(); ++j) {
        const column& c = t.at(j);
        append_word(out, hash_slice(c.valued, first, count));
        switch (fields[j].type) {
            case field_type::boolean:
            case field_type::integer:
            case field_type::timestamp: append_word(out, hash_slice(c.integers, first, count)); break;
            case field_type::number: append_word(out, hash_slice(c.numbers, first, count)); break;
            case field_type::text: append_word(out, hash_codes(c.codes, first, count, strings)); break;
            case field_type::text_list: {
                for (std::size_t i = 0; i <= count; ++i) append_word(out, c.offsets[first + i] - c.offsets[first]);
                append_word(out, hash_codes(c.codes, c.offsets[first], c.offsets[first + count] - c.offsets[first], strings));
                break;
            }
        }
    }
}

/// Writes 32 hex digits: equal bundle, task, candidates and time give an equal id, in single and batch use alike.
inline void decision_identity(const sha256_digest& bundle, const frame& f, std::string& buffer, std::string& id) {
    buffer.assign(reinterpret_cast<const char*>(bundle.data()), bundle.size());
    append_word(buffer, static_cast<std::uint64_t>(f.now_us));
    append_rows(buffer, *f.task, f.task_row, 1, *f.strings);
    append_word(buffer, f.size());
    if (f.catalogue)
        append_word(buffer, xxh3({reinterpret_cast<const char*>(f.action_rows.data()), f.action_rows.size_bytes()}));
    else if (f.size() > 0)
        append_rows(buffer, *f.actions, f.action_rows[0], f.size(), *f.strings);
    if (f.pairs != nullptr && f.size() > 0) append_rows(buffer, *f.pairs, f.pair_begin, f.size(), *f.strings);
    constexpr char digits[] = "0123456789abcdef";
    id.clear();
    for (const std::uint64_t seed : {0U, 1U}) {
        const std::uint64_t half = xxh3(buffer, seed);
        for (int shift = 60; shift >= 0; shift -= 4) id += digits[(half >> shift) & 15U];
    }
}

}  // namespace opspilot::detail
