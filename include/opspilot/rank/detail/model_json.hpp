/// \file
/// Internal: JSON model files as a stream of checked events. Memory grows with the nesting, never with the text, so a file of
/// any size is refused cheaply; what a file is made of, its reader keeps in arrays of its own.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"

namespace opspilot::detail {

/// What an object may hold. Without a table any key may stand in it, each once.
struct json_shape {
    std::uint32_t place = 0;  ///< the reader's own name for it
    std::span<const document_field> table = {};
};

struct json_scalar {
    json_kind kind = json_kind::any;  ///< any = null
    double number = 0;                ///< of integers too
    std::int64_t integer = 0;
    bool truth = false;
    std::string_view text = {};
};

inline std::string_view json_kind_text(json_kind kind) noexcept {
    static constexpr std::array<std::string_view, 7> names{"null",     "a boolean", "an integer", "a number",
                                                           "a string", "an array",  "an object"};
    return names[static_cast<std::size_t>(kind)];
}

/// Reads one document. Errors of kind model: model.json_syntax with the byte, and with the JSON pointer model.json_duplicate_key,
/// model.json_depth, model.unknown_field, model.missing_field, model.wrong_kind, or what the reader's own functions return.
class model_json : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit model_json(std::size_t depth_limit) : depth_limit_(depth_limit) {}
    [[nodiscard]] status read(std::string_view text);

protected:
    static constexpr std::uint32_t outside = UINT32_MAX;  ///< the place around the document

    /// A container begins at `field()` or `position()` of `place`; its own shape is returned.
    virtual result<json_shape> begin(std::uint32_t place, bool array) = 0;
    virtual status end(std::uint32_t place) = 0;
    virtual status value(std::uint32_t place, const json_scalar& scalar) = 0;

    /// Index into the table of the innermost object.
    [[nodiscard]] std::uint32_t field() const noexcept { return frames_[depth_ - 1].field; }
    [[nodiscard]] std::string_view name() const noexcept { return frames_[depth_ - 1].key; }
    /// How many items the innermost array had before this one.
    [[nodiscard]] std::size_t position() const noexcept { return frames_[depth_ - 1].items; }
    /// Whether field `index` of the innermost object was there; for `end`.
    [[nodiscard]] bool given(std::uint32_t index) const noexcept { return (frames_[depth_ - 1].seen >> index & 1U) != 0; }
    /// JSON pointer of what is being read.
    [[nodiscard]] std::string where() const;
    [[nodiscard]] error problem(std::string_view code, std::string message, std::string hint = {}) const {
        return {error_kind::model, code, std::move(message), where(), std::move(hint)};
    }

private:
    using json = nlohmann::json;
    struct frame {
        json_shape shape;
        bool array = false;
        bool ended = false;  // where() is then the container itself
        std::uint32_t field = 0;
        std::uint64_t seen = 0;  // fields of the table
        std::size_t items = 0;
        std::size_t hashes = 0;  // where those of its keys begin, of an object without a table
        std::string key;
    };

    bool null() override { return scalar({}); }
    bool boolean(bool v) override { return scalar({.kind = json_kind::boolean, .truth = v}); }
    bool number_integer(number_integer_t v) override {
        return scalar({.kind = json_kind::integer, .number = static_cast<double>(v), .integer = v});
    }
    bool number_unsigned(number_unsigned_t v) override {
        if (v > INT64_MAX) return scalar({.kind = json_kind::number, .number = static_cast<double>(v)});
        return number_integer(static_cast<number_integer_t>(v));
    }
    bool number_float(number_float_t v, const string_t&) override { return scalar({.kind = json_kind::number, .number = v}); }
    bool string(string_t& v) override { return scalar({.kind = json_kind::text, .text = v}); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(false); }
    bool start_array(std::size_t) override { return open(true); }
    bool end_object() override;
    bool end_array() override;
    bool key(string_t& name) override { return keep(take_key(name)); }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& problem) override;

    bool scalar(const json_scalar& s);
    bool open(bool array);
    [[nodiscard]] status take_key(std::string_view name);
    [[nodiscard]] status check_kind(json_kind found) const;
    [[nodiscard]] status check_keys();
    [[nodiscard]] status close();
    bool keep(status&& done);

    std::size_t depth_limit_;
    std::vector<frame> frames_;  // those below depth_ are open; the others keep their memory
    std::size_t depth_ = 0;
    std::vector<std::uint64_t> hashes_;  // of the keys of open objects without a table
    std::optional<error> problem_;
};

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/detail/model_json-inl.hpp"
#endif
