/// \file
/// Internal: the UBJ front end of `pull_reader`: Universal Binary JSON as XGBoost writes it. Lengths are 64-bit ('L'), numbers
/// big-endian; arrays are plain, counted ('#'), or of one type ('$'), which are decoded in one piece.
#pragma once

#include <bit>
#include <cstring>
#include <limits>

#include "opspilot/rank/detail/pull_reader.hpp"

namespace opspilot::detail {

class ubj_pull final : public pull_reader {
public:
    explicit ubj_pull(std::string_view bytes) : pull_reader(bytes) {}

    [[nodiscard]] result<pull_kind> peek() override {
        if (ended()) return truncated();
        switch (bytes_[at_]) {
            case '{': return pull_kind::object;
            case '[': return pull_kind::array;
            case 'S': return pull_kind::text;
            case 'T':
            case 'F': return pull_kind::boolean;
            case 'Z': return pull_kind::null;
            default: break;
        }
        if (width(bytes_[at_]) == 0) return unknown_type(bytes_[at_]);
        return pull_kind::number;
    }

    [[nodiscard]] result<bool> next() override {
        const bool array = top().array;
        if (top().counted ? top().left == 0 : !ended() && bytes_[at_] == (array ? ']' : '}')) {
            if (!top().counted) ++at_;
            leave();
            return false;
        }
        if (ended()) return truncated();
        if (array) {
            if (!top().fresh) ++top().index;
            if (top().counted) --top().left;
            top().fresh = false;
            return true;
        }
        const std::size_t at = at_;
        OPSPILOT_TRY(const std::string_view name, bytes_with_length());
        OPSPILOT_CHECK(take_key(name, at));
        if (!valid_utf8(name)) return problem("model.utf8", at, "a key that is not UTF-8");
        return true;
    }

    [[nodiscard]] result<std::string_view> text() override {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind != pull_kind::text) return wrong_kind(name(kind), "a string");
        const std::size_t at = at_++;
        OPSPILOT_TRY(const std::string_view value, bytes_with_length());
        if (!valid_utf8(value)) return problem("model.utf8", at, "a string that is not UTF-8");
        return value;
    }

    [[nodiscard]] result<std::int32_t> integer() override { return one_integer(false); }

    [[nodiscard]] status integers(std::vector<std::int32_t>& out, std::size_t most, bool booleans) override {
        return each(out, most, "iUIlL", [&] { return one_integer(booleans); }, [&](char type) { return integer_at(type); });
    }

    [[nodiscard]] status floats(std::vector<float>& out, std::size_t most) override {
        return each(out, most, "d", [&] { return one_float(); }, [&](char) -> result<float> { return float_at(); });
    }

    [[nodiscard]] status end() override {
        if (!ended()) return problem("model.trailing_data", at_, "something follows the model's end");
        return {};
    }

protected:
    [[nodiscard]] status open(pull_kind wanted) override {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind != wanted) return wrong_kind(name(kind), name(wanted));
        if (kind == pull_kind::object) {
            OPSPILOT_CHECK(enter(false));
            ++at_;
            return {};
        }
        OPSPILOT_TRY(const header head, array_header());
        if (head.type != 0) {
            // Only numbers stand in arrays of one type, and those are taken whole; `skip` comes here for others' sake.
            if (head.count > (bytes_.size() - at_) / width(head.type)) return too_long(head.count);
            at_ += head.count * width(head.type);
            OPSPILOT_CHECK(enter(true));
            top().counted = true;
            return {};
        }
        OPSPILOT_CHECK(enter(true));
        top().counted = head.counted;
        top().left = head.count;
        return {};
    }

    [[nodiscard]] status skip_scalar() override {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind == pull_kind::text) {
            auto value = text();
            return value ? status{} : std::move(value).error();
        }
        const std::size_t size = kind == pull_kind::number ? width(bytes_[at_]) : 0;
        if (bytes_.size() - at_ <= size) return truncated();
        at_ += 1 + size;
        return {};
    }

private:
    struct header {
        char type = 0;  // of all items, 0 when each says its own
        bool counted = false;
        std::size_t count = 0;
    };

    /// Bytes of a number; 0 for everything else.
    [[nodiscard]] static std::size_t width(char type) noexcept {
        switch (type) {
            case 'i':
            case 'U': return 1;
            case 'I': return 2;
            case 'l':
            case 'd': return 4;
            case 'L':
            case 'D': return 8;
            default: return 0;
        }
    }
    [[nodiscard]] opspilot::error unknown_type(char type) const {
        return problem("model.ubj_syntax", at_, fmt::format("{} is no type of value", quote(std::string_view(&type, 1))));
    }
    [[nodiscard]] opspilot::error too_long(std::size_t count) const {
        return problem("model.array_length", at_,
                       fmt::format("{} items or bytes are announced, {} bytes follow", count, bytes_.size() - at_));
    }

    /// The big-endian number of `size` bytes at hand; they were checked to be there.
    [[nodiscard]] std::uint64_t big_endian(std::size_t size) noexcept {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(bytes_[at_ + i]);
        at_ += size;
        return value;
    }

    /// A length: 'L' and 64 bits, at most what is left of the file.
    [[nodiscard]] result<std::size_t> length() {
        if (ended()) return truncated();
        if (bytes_[at_] != 'L')
            return problem("model.ubj_syntax", at_, "a length that does not begin with L",
                           "XGBoost writes all lengths as 64-bit numbers");
        if (bytes_.size() - at_ < 9) return truncated();
        ++at_;
        const std::uint64_t value = big_endian(8);
        // Items and characters have at least one byte each.
        if (value > bytes_.size() - at_) return too_long(static_cast<std::size_t>(value));
        return static_cast<std::size_t>(value);
    }
    [[nodiscard]] result<std::string_view> bytes_with_length() {
        OPSPILOT_TRY(const std::size_t size, length());
        const std::string_view value = bytes_.substr(at_, size);
        at_ += size;
        return value;
    }
    [[nodiscard]] result<header> array_header() {
        ++at_;
        if (ended()) return truncated();
        header out;
        if (bytes_[at_] == '$') {
            if (bytes_.size() - at_ < 3) return truncated();
            out.type = bytes_[at_ + 1];
            ++at_;
            if (width(out.type) == 0) return unknown_type(out.type);
            ++at_;
            if (bytes_[at_] != '#') return problem("model.ubj_syntax", at_, "an array of one type without its count");
        }
        if (bytes_[at_] != '#') return out;
        ++at_;
        out.counted = true;
        OPSPILOT_TRY(out.count, length());
        return out;
    }

    [[nodiscard]] result<std::int32_t> integer_at(char type) {
        const std::size_t at = at_;
        const std::size_t size = width(type);
        std::uint64_t raw = big_endian(size);
        if (type != 'U' && size < 8 && (raw >> (8 * size - 1)) != 0) raw |= ~std::uint64_t{0} << (8 * size);
        const auto value = static_cast<std::int64_t>(raw);
        if (value < std::numeric_limits<std::int32_t>::min() || value > std::numeric_limits<std::int32_t>::max())
            return problem("model.number_range", at, fmt::format("{} is out of range", value));
        return static_cast<std::int32_t>(value);
    }
    [[nodiscard]] float float_at() noexcept { return std::bit_cast<float>(static_cast<std::uint32_t>(big_endian(4))); }

    [[nodiscard]] result<std::int32_t> one_integer(bool booleans) {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (booleans && kind == pull_kind::boolean) return bytes_[at_++] == 'T' ? 1 : 0;
        if (kind != pull_kind::number) return wrong_kind(name(kind), "a whole number");
        const char type = bytes_[at_];
        if (type == 'd' || type == 'D') return wrong_kind("a fraction", "a whole number");
        if (bytes_.size() - at_ <= width(type)) return truncated();
        ++at_;
        return integer_at(type);
    }
    [[nodiscard]] result<float> one_float() {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind != pull_kind::number) return wrong_kind(name(kind), "a number");
        const char type = bytes_[at_];
        if (type == 'D') return wrong_kind("a 64-bit fraction", "a 32-bit one");
        if (bytes_.size() - at_ <= width(type)) return truncated();
        ++at_;
        if (type == 'd') return float_at();
        OPSPILOT_TRY(const std::int32_t value, integer_at(type));
        return static_cast<float>(value);
    }

    template <class T, class One, class Typed>
    [[nodiscard]] status each(std::vector<T>& out, std::size_t most, std::string_view types, const One& one, const Typed& typed) {
        out.clear();
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind != pull_kind::array) return wrong_kind(name(kind), "an array");
        const std::size_t begin = at_;
        OPSPILOT_TRY(const header head, array_header());
        if (head.count > most) return too_many(most);
        if (head.type != 0) {
            if (types.find(head.type) == std::string_view::npos)
                return problem("model.wrong_kind", begin, fmt::format("an array of numbers of type '{}'", head.type));
            if (head.count > (bytes_.size() - at_) / width(head.type)) return too_long(head.count);
            out.reserve(head.count);
            OPSPILOT_CHECK(enter(true));
            for (std::size_t i = 0; i < head.count; ++i) {
                top().index = i;
                OPSPILOT_TRY(const T value, typed(head.type));
                out.push_back(value);
            }
            leave();
            return {};
        }
        OPSPILOT_CHECK(enter(true));
        top().counted = head.counted;
        top().left = head.count;
        for (;;) {
            OPSPILOT_TRY(const bool more, next());
            if (!more) return {};
            if (out.size() == most) return too_many(most);
            OPSPILOT_TRY(const T value, one());
            out.push_back(value);
        }
    }
};

}  // namespace opspilot::detail
