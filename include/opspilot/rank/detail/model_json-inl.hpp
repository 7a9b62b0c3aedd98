#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/rank/detail/model_json.hpp"

namespace opspilot::detail {

OPSPILOT_INLINE status model_json::read(std::string_view text) {
    // The parser takes a null byte for the end of its input.
    if (const std::size_t at = text.find('\0'); at != std::string_view::npos)
        return error{error_kind::model, "model.json_syntax", "not JSON: a null byte", fmt::format("byte {}", at), {}};
    nlohmann::json_sax<json>& events = *this;
    if (!json::sax_parse(text.begin(), text.end(), &events))
        return problem_ ? *std::move(problem_) : error{error_kind::model, "model.json_syntax", "not JSON", {}, {}};
    return {};
}

OPSPILOT_INLINE std::string model_json::where() const {
    constexpr std::size_t shown_ends = 8;  // of a very long path
    std::string out;
    for (std::size_t d = 0; d < depth_; ++d) {
        const frame& f = frames_[d];
        if (f.ended) break;
        if (d >= shown_ends && d + shown_ends < depth_) {
            if (d == shown_ends) out += "/…";
            continue;
        }
        if (f.array) {
            out += fmt::format("/{}", f.items);
            continue;
        }
        out += '/';
        const std::string shown = quote(f.key);
        for (const char c : std::string_view(shown).substr(1, shown.size() - 2)) {
            if (c == '~' || c == '/')
                out += c == '~' ? "~0" : "~1";
            else
                out += c;
        }
    }
    return out.empty() ? "/" : out;
}

OPSPILOT_INLINE bool model_json::keep(status&& done) {
    if (done) return true;
    problem_ = std::move(done).error();
    return false;
}

OPSPILOT_INLINE bool model_json::parse_error(std::size_t position, const std::string&, const json::exception& thrown) {
    std::string_view reason = thrown.what();
    if (const auto at = reason.rfind("; "); at != std::string_view::npos) reason.remove_prefix(at + 2);
    problem_ = error{error_kind::model,
                     "model.json_syntax",
                     fmt::format("not JSON: {}", quote(reason, 120)),
                     fmt::format("byte {}", position > 0 ? position - 1 : 0),
                     {}};
    return false;
}

OPSPILOT_INLINE status model_json::check_kind(json_kind found) const {
    if (depth_ == 0) return {};
    const frame& f = frames_[depth_ - 1];
    if (f.array || f.shape.table.empty()) return {};
    const document_field& want = f.shape.table[f.field];
    if (want.kind == json_kind::any || want.kind == found || (want.kind == json_kind::number && found == json_kind::integer))
        return {};
    return problem("model.wrong_kind",
                   fmt::format("'{}' must be {}, found {}", want.name, json_kind_text(want.kind), json_kind_text(found)),
                   std::string(want.doc));
}

OPSPILOT_INLINE bool model_json::scalar(const json_scalar& s) {
    if (!keep(check_kind(s.kind))) return false;
    if (!keep(value(depth_ == 0 ? outside : frames_[depth_ - 1].shape.place, s))) return false;
    if (depth_ > 0) ++frames_[depth_ - 1].items;
    return true;
}

OPSPILOT_INLINE bool model_json::open(bool array) {
    if (!keep(check_kind(array ? json_kind::array : json_kind::object))) return false;
    if (depth_ >= depth_limit_)
        return keep(problem("model.json_depth", fmt::format("nested more than {} levels deep", depth_limit_)));
    auto shape = begin(depth_ == 0 ? outside : frames_[depth_ - 1].shape.place, array);
    if (!shape) return keep(std::move(shape).error());
    if (depth_ == frames_.size()) frames_.emplace_back();
    frame& f = frames_[depth_++];
    f.shape = *shape;
    f.array = array;
    f.ended = false;
    f.seen = 0;
    f.items = 0;
    f.hashes = hashes_.size();
    f.key.clear();
    return true;
}

OPSPILOT_INLINE status model_json::take_key(std::string_view name) {
    frame& f = frames_[depth_ - 1];
    f.key.assign(name);
    const auto twice = [&] {
        return problem("model.json_duplicate_key", fmt::format("key {} stands twice in one object", quote(name)),
                       "keep one of them");
    };
    if (!f.shape.table.empty()) {
        const auto found =
            std::find_if(f.shape.table.begin(), f.shape.table.end(), [&](const auto& d) { return d.name == name; });
        if (found == f.shape.table.end()) {
            std::vector<std::string_view> names;
            for (const document_field& d : f.shape.table) names.push_back(d.name);
            std::string hint = did_you_mean(name, names);
            if (hint.empty()) hint = fmt::format("known fields: {}", fmt::join(names, ", "));
            return problem("model.unknown_field", fmt::format("unknown field {}", quote(name)), std::move(hint));
        }
        f.field = static_cast<std::uint32_t>(found - f.shape.table.begin());
        if ((f.seen >> f.field & 1U) != 0) return twice();
        f.seen |= std::uint64_t{1} << f.field;
        return {};
    }
    // Few keys are compared at once, so that the message names the key; of many the hashes are sorted at the object's end.
    constexpr std::size_t few = 32;
    const std::uint64_t hash = xxh3(name);
    const auto own = std::span<const std::uint64_t>(hashes_).subspan(f.hashes);
    if (own.size() < few && std::find(own.begin(), own.end(), hash) != own.end()) return twice();
    hashes_.push_back(hash);
    return {};
}

OPSPILOT_INLINE status model_json::check_keys() {
    const frame& f = frames_[depth_ - 1];
    for (std::size_t i = 0; i < f.shape.table.size(); ++i)
        if (f.shape.table[i].required && (f.seen >> i & 1U) == 0)
            return problem("model.missing_field", fmt::format("field '{}' is missing", f.shape.table[i].name),
                           std::string(f.shape.table[i].doc));
    const auto own = std::span<std::uint64_t>(hashes_).subspan(f.hashes);
    std::sort(own.begin(), own.end());
    if (std::adjacent_find(own.begin(), own.end()) != own.end())
        return problem("model.json_duplicate_key", "a key stands twice in one object", "keep one of them");
    hashes_.resize(f.hashes);
    return {};
}

OPSPILOT_INLINE bool model_json::end_object() {
    frames_[depth_ - 1].ended = true;
    return keep(check_keys()) && keep(close());
}

OPSPILOT_INLINE bool model_json::end_array() {
    frames_[depth_ - 1].ended = true;
    return keep(close());
}

OPSPILOT_INLINE status model_json::close() {
    OPSPILOT_CHECK(end(frames_[depth_ - 1].shape.place));
    if (--depth_ > 0) ++frames_[depth_ - 1].items;
    return {};
}

}  // namespace opspilot::detail
