#pragma once

#include <algorithm>

#include "opspilot/policy/detail/cel/functions.hpp"

namespace opspilot::cel::detail {

/// Letters of a signature that are types of their own, and not what stands before one.
inline std::size_t letters_of(std::string_view signature) noexcept {
    return static_cast<std::size_t>(
        std::count_if(signature.begin(), signature.end(), [](char c) { return c != '[' && c != '?' && c != '+'; }));
}

OPSPILOT_INLINE bool overload::takes(std::size_t count) const noexcept {
    return arguments.ends_with('+') ? count >= letters_of(arguments) : count == letters_of(arguments);
}

OPSPILOT_INLINE bool is_function(std::string_view name) noexcept {
    const auto all = overloads();
    return std::any_of(all.begin(), all.end(), [&](const overload& o) { return !o.member && o.name == name; });
}

inline type_id type_of_letter(char letter) noexcept {
    switch (letter) {
        case 'b': return types::boolean;
        case 'i': return types::integer;
        case 'u': return types::uinteger;
        case 'd': return types::number;
        case 's': return types::text;
        case 'y': return types::bytes;
        case 't': return types::timestamp;
        case 'D': return types::duration;
        case 'l': return types::list;
        case 'm': return types::map;
        case 'T': return types::type;
        default: return types::dyn;
    }
}

/// Matches types with a signature; what A stands for is found on the way.
class signature_matcher {
public:
    explicit signature_matcher(type_pool& pool) : pool_(pool) {}

    /// Whether the type fits what stands at the front, which is taken off.
    bool take(std::string_view& signature, type_id given) {
        const char letter = front(signature);
        if (given == types::open) given = types::dyn;
        if (letter == '[' || letter == '?') {
            const bool shape = letter == '[' ? pool_.is_list(given) : pool_.is_optional(given);
            if (!shape && given != types::dyn) return false;
            return take(signature, shape ? pool_.first(given) : types::dyn);
        }
        if (letter == 'n') return merge(given, given == types::dyn || is_number(given), true);
        if (letter == 'A') return merge(given, true, false);
        return pool_.fits(given, type_of_letter(letter));
    }

    type_id make(std::string_view& signature) {
        const char letter = front(signature);
        if (letter == '[') return pool_.list_of(make(signature));
        if (letter == '?') return pool_.optional_of(make(signature));
        return letter == 'A' || letter == 'n' ? variable_ : type_of_letter(letter);
    }

private:
    static char front(std::string_view& signature) noexcept {
        const char letter = signature.front();
        signature.remove_prefix(1);
        return letter;
    }
    /// `loose`: different types are dyn together, which numbers may be.
    bool merge(type_id given, bool fits, bool loose) {
        if (!fits) return false;
        const auto both = pool_.unify(variable_, given);
        variable_ = both.value_or(types::dyn);
        return both.has_value() || loose;
    }

    type_pool& pool_;
    type_id variable_ = types::open;
};

OPSPILOT_INLINE std::optional<type_id> result_of(const overload& form, std::span<const type_id> arguments, type_pool& pool) {
    if (!form.takes(arguments.size())) return {};
    signature_matcher match(pool);
    std::string_view rest = form.arguments, last;
    for (const type_id given : arguments) {
        if (rest != "+")
            last = rest;
        else
            rest = last;
        if (!match.take(rest, given)) return {};
    }
    if (form.function == builtin::to_type) return pool.type_of(arguments.front());
    std::string_view result = form.result;
    return match.make(result);
}

}  // namespace opspilot::cel::detail
