/// \file
/// Internal: a document read value by value, whatever its notation. Nothing of it is kept but the way to the value at hand, so
/// memory is bounded by the depth that is allowed; nothing recurses.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/result.hpp"
#include "opspilot/base/text.hpp"

namespace opspilot::detail {

enum class pull_kind : std::uint8_t { object, array, text, number, boolean, null };

inline std::string_view name(pull_kind kind) noexcept {
    constexpr std::array<std::string_view, 6> names{"an object", "an array", "a string", "a number", "a boolean", "null"};
    return names[static_cast<std::size_t>(kind)];
}

/// Values are taken in the order of the document. `open_object`, then `next` until it is false; each time it is true, exactly
/// one value is taken: by reading it, by opening it and coming to its end, or by `skip`. Arrays alike.
///
/// Errors are of kind model, or limit, with the JSON pointer of the value and its byte: model.truncated, model.wrong_kind,
/// model.key_twice, model.bad_number, model.number_range, model.utf8, model.limit_nesting, model.limit_keys,
/// model.limit_items, and the notation's own.
class pull_reader {
    // Of one open object or array.
    struct frame {
        bool array = false;
        bool fresh = true;      // nothing was taken yet
        std::size_t index = 0;  // of the item at hand
        std::size_t left = 0;   // items that follow, where the notation announces them
        bool counted = false;
        std::string key;         // at hand
        std::size_t hashes = 0;  // where those of its keys begin
    };

public:
    /// The model formats need 8 levels.
    static constexpr std::size_t most_nesting = 32;
    static constexpr std::size_t most_keys = 1024;

    /// A value to come back to.
    class bookmark {
        friend class pull_reader;
        std::size_t at = 0;
        std::vector<frame> frames;
        std::vector<std::uint64_t> hashes;
    };

    explicit pull_reader(std::string_view bytes) : bytes_(bytes) {}
    virtual ~pull_reader() = default;
    pull_reader(const pull_reader&) = delete;
    pull_reader& operator=(const pull_reader&) = delete;

    /// What the value at hand is.
    [[nodiscard]] virtual result<pull_kind> peek() = 0;
    [[nodiscard]] status open_object() { return open(pull_kind::object); }
    [[nodiscard]] status open_array() { return open(pull_kind::array); }
    /// Whether the innermost open object or array has another value; if not, it is closed.
    [[nodiscard]] virtual result<bool> next() = 0;
    /// The key of the value at hand.
    [[nodiscard]] std::string_view key() const noexcept { return frames_[depth_ - 1].key; }

    /// The string at hand, checked to be UTF-8; valid until the next call.
    [[nodiscard]] virtual result<std::string_view> text() = 0;
    [[nodiscard]] virtual result<std::int32_t> integer() = 0;
    /// The whole array at hand; its length is checked before memory is taken. Booleans count as 0 and 1 where asked for.
    [[nodiscard]] virtual status integers(std::vector<std::int32_t>& out, std::size_t most, bool booleans = false) = 0;
    /// Rounded to the nearest float; NaN and the infinities as the format writes them.
    [[nodiscard]] virtual status floats(std::vector<float>& out, std::size_t most) = 0;
    /// Passes over the value at hand; it must be well-formed.
    [[nodiscard]] status skip();
    /// Passes over the value at hand, which will be come back to: looks no closer than it must.
    [[nodiscard]] virtual status leap() { return skip(); }
    /// Nothing but what the notation allows may follow the value that was taken.
    [[nodiscard]] virtual status end() = 0;

    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    [[nodiscard]] bookmark mark() const {
        bookmark here;
        here.at = at_;
        here.frames.assign(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(depth_));
        here.hashes = hashes_;
        return here;
    }
    void go_to(const bookmark& there) {
        at_ = there.at;
        frames_ = there.frames;
        depth_ = frames_.size();
        hashes_ = there.hashes;
    }

    /// JSON pointer of the value at hand.
    [[nodiscard]] std::string pointer() const {
        std::string out;
        for (std::size_t d = 0; d < depth_; ++d) {
            out += '/';
            if (frames_[d].array) {
                out += fmt::format("{}", frames_[d].index);
                continue;
            }
            const std::string quoted = quote(frames_[d].key);
            for (const char c : std::string_view(quoted).substr(1, quoted.size() - 2)) {
                if (c == '~')
                    out += "~0";
                else if (c == '/')
                    out += "~1";
                else
                    out += c;
            }
        }
        return out;
    }
    [[nodiscard]] static std::string place(std::string_view pointer, std::size_t at) {
        return pointer.empty() ? fmt::format("byte {}", at) : fmt::format("{} (byte {})", pointer, at);
    }
    [[nodiscard]] opspilot::error problem(std::string_view code, std::size_t at, std::string message,
                                          std::string hint = {}) const {
        return {error_kind::model, code, std::move(message), place(pointer(), at), std::move(hint)};
    }

protected:
    [[nodiscard]] virtual status open(pull_kind wanted) = 0;
    /// Passes over a value that is neither object nor array of single values.
    [[nodiscard]] virtual status skip_scalar() = 0;

    [[nodiscard]] bool ended() const noexcept { return at_ == bytes_.size(); }
    [[nodiscard]] opspilot::error truncated() const {
        return problem("model.truncated", bytes_.size(), "the file ends in the middle", "write the model again");
    }
    [[nodiscard]] opspilot::error wrong_kind(std::string_view got, std::string_view wanted) const {
        return problem("model.wrong_kind", at_, fmt::format("{} where {} is expected", got, wanted));
    }
    [[nodiscard]] opspilot::error too_many(std::size_t most) const {
        return {error_kind::limit, "model.limit_items", fmt::format("the array has more than {} items", most),
                place(pointer(), at_), "raise the limit if the model can be trusted"};
    }
    [[nodiscard]] opspilot::error too_deep() const {
        return {error_kind::limit, "model.limit_nesting", fmt::format("more than {} levels of nesting", most_nesting),
                place(pointer(), at_), "no model is nested so deeply"};
    }
    [[nodiscard]] status enter(bool array) {
        if (depth_ == most_nesting) return too_deep();
        if (depth_ == frames_.size()) frames_.emplace_back();
        frame& f = frames_[depth_++];
        f.array = array;
        f.fresh = true;
        f.counted = false;
        f.index = 0;
        f.left = 0;
        f.key.clear();
        f.hashes = hashes_.size();
        return {};
    }
    void leave() { hashes_.resize(frames_[--depth_].hashes); }
    [[nodiscard]] frame& top() noexcept { return frames_[depth_ - 1]; }
    /// A new key of the innermost object. Keys are compared by their 64-bit hashes: two that collide are refused, which no
    /// trainer will ever meet.
    [[nodiscard]] status take_key(std::string_view key, std::size_t at) {
        frame& f = top();
        f.key.assign(key);
        const std::uint64_t hash = xxh3(key);
        const auto first = hashes_.begin() + static_cast<std::ptrdiff_t>(f.hashes);
        if (std::find(first, hashes_.end(), hash) != hashes_.end())
            return problem("model.key_twice", at, fmt::format("{} is given twice", quote(key)));
        if (hashes_.size() - f.hashes == most_keys)
            return opspilot::error{error_kind::limit, "model.limit_keys",
                                   fmt::format("more than {} keys in an object", most_keys), place(pointer(), at),
                                   "no model has so many"};
        hashes_.push_back(hash);
        return {};
    }

    std::string_view bytes_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
    std::vector<frame> frames_;  // those above depth_ are kept for their strings' memory
    std::vector<std::uint64_t> hashes_;
};

inline status pull_reader::skip() {
    const std::size_t outside = depth_;
    for (;;) {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind == pull_kind::object || kind == pull_kind::array)
            OPSPILOT_CHECK(open(kind));
        else
            OPSPILOT_CHECK(skip_scalar());
        for (;;) {
            if (depth_ == outside) return {};
            OPSPILOT_TRY(const bool more, next());
            if (more) break;
        }
    }
}

/// Which keys of a table an object had.
template <std::size_t N>
struct pull_fields {
    const std::array<std::string_view, N>* names = nullptr;
    std::bitset<N> given;
    std::string pointer;
    std::size_t at = 0;

    [[nodiscard]] status require(std::initializer_list<std::size_t> keys) const {
        for (const std::size_t k : keys)
            if (!given[k])
                return opspilot::error{error_kind::model,
                                       "model.missing_key",
                                       fmt::format("'{}' is missing", (*names)[k]),
                                       pull_reader::place(pointer, at),
                                       {}};
        return {};
    }
};

/// Takes the object at hand, whose keys must be among `names`, and calls `f(k)` at the value of key `names[k]`.
template <std::size_t N, class F>
result<pull_fields<N>> pull_object(pull_reader& in, const std::array<std::string_view, N>& names, const F& f) {
    pull_fields<N> out{&names, {}, in.pointer(), in.at()};
    OPSPILOT_CHECK(in.open_object());
    for (;;) {
        const std::size_t at = in.at();
        OPSPILOT_TRY(const bool more, in.next());
        if (!more) return out;
        const auto found = std::find(names.begin(), names.end(), in.key());
        if (found == names.end())
            return in.problem("model.unknown_key", at, fmt::format("unknown key {}", quote(in.key())),
                              did_you_mean(in.key(), names));
        const auto k = static_cast<std::size_t>(found - names.begin());
        out.given.set(k);
        OPSPILOT_CHECK(f(k));
    }
}

}  // namespace opspilot::detail
