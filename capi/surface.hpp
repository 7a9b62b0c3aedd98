// What the files of the C surface share: its objects, and how a body becomes a function that returns a status.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "candidates.hpp"
#include "opspilot.h"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/engine.hpp"

struct opspilot_bundle {
    std::shared_ptr<const opspilot::bundle> value;
    std::string description;
};
struct opspilot_engine {
    explicit opspilot_engine(std::shared_ptr<const opspilot::bundle> b) : value(std::move(b)) {}
    opspilot::engine value;
};
struct opspilot_workspace {
    opspilot::workspace value;
    std::string text;  // lent out until the next call
};
struct opspilot_candidates {
    opspilot::c_surface::candidate_columns value;
};
struct opspilot_decision {
    opspilot::decision own;
    const opspilot::decision* shown = &own;  // in a batch, the one being handed out
    std::string record;
};

namespace opspilot::c_surface {

/// Copies as much as fits, whole code points, and ends with a zero byte.
template <std::size_t N>
void copy_text(char (&to)[N], std::string_view from) noexcept {
    std::size_t length = std::min(from.size(), N - 1);
    if (length < from.size())
        while (length > 0 && (static_cast<unsigned char>(from[length]) & 0xC0U) == 0x80U) --length;
    std::memcpy(to, from.data(), length);
    to[length] = '\0';
}

inline opspilot_status fail(opspilot_error* out, opspilot_status returned, std::string_view code, std::string_view message,
                            std::string_view where = {}, std::string_view hint = {}) noexcept {
    if (out != nullptr && out->size >= sizeof(opspilot_error)) {
        out->status = returned;
        copy_text(out->code, code);
        copy_text(out->message, message);
        copy_text(out->where, where);
        copy_text(out->hint, hint);
    }
    return returned;
}

/// Runs the body of a function; whatever happens in it becomes a status.
template <class Body>
opspilot_status guarded(opspilot_error* out, Body&& body) noexcept {
    try {
        const status done = body();
        if (done) return OPSPILOT_OK;
        const error& e = done.error();
        return fail(out, static_cast<opspilot_status>(e.kind), e.code, e.message, e.where, e.hint);
    } catch (const std::bad_alloc&) {
        return fail(out, OPSPILOT_ERROR_MEMORY, "memory.exhausted", "memory ran out");
    } catch (const std::exception& e) {
        return fail(out, OPSPILOT_ERROR_INTERNAL, "internal.exception", e.what());
    } catch (...) {
        return fail(out, OPSPILOT_ERROR_INTERNAL, "internal.exception", "an exception that is not one of the standard's");
    }
}

inline error usage(std::string_view code, std::string message, std::string hint = {}) {
    return {error_kind::usage, code, std::move(message), "", std::move(hint)};
}

inline status given(const void* argument, const char* name) {
    if (argument != nullptr) return {};
    return usage("usage.null_argument", std::string("argument '") + name + "' is NULL");
}

template <class... Pairs>
status all_given(const void* first, const char* name, Pairs... rest) {
    OPSPILOT_CHECK(given(first, name));
    if constexpr (sizeof...(rest) > 0) return all_given(rest...);
    return {};
}

inline opspilot_text text(std::string_view view) noexcept { return {view.data(), view.size()}; }

/// Whether a caller's struct reaches as far as its first version did.
inline status reaches(std::size_t size, std::size_t first_version, const char* name) {
    if (size >= first_version) return {};
    return usage("usage.struct_size", std::string(name) + " of " + std::to_string(size) + " bytes",
                 std::string("set size to sizeof(") + name + ")");
}

inline status index_below(std::size_t index, std::size_t count) {
    if (index < count) return {};
    return usage("usage.index", "index " + std::to_string(index) + " of " + std::to_string(count));
}

/// A caller's text; NULL may stand for an empty one alone.
inline result<std::string_view> whole(const opspilot_text& t, const char* name) {
    if (t.data == nullptr && t.size > 0) return usage("usage.null_argument", std::string(name) + " is NULL");
    return t.data == nullptr ? std::string_view{""} : std::string_view{t.data, t.size};
}

}  // namespace opspilot::c_surface
