#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/hash.hpp"
#include "opspilot/rank/detail/little_endian.hpp"
#include "opspilot/rank/tree_file.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::string_view tree_magic = "OPSPT";
inline constexpr char tree_version = 1;
inline constexpr std::size_t tree_preamble = 12;  // magic, version, padding, header length
inline constexpr std::size_t tree_digest = 32;
inline constexpr std::size_t tree_split_bytes = 28;
inline constexpr std::uint32_t every_output = UINT32_MAX;

inline constexpr std::array<document_field, 14> tree_header{{
    {"features", json_kind::array, true, "names of the columns", {}},
    {"objective", json_kind::text, true, "of the trainer, or empty", {}},
    {"outputs", json_kind::integer, true, "scores per row", {}},
    {"average", json_kind::boolean, true, "whether sums are divided by the number of trees", {}},
    {"scale", json_kind::number, true, "of the sums; 1", {}},
    {"zero_threshold", json_kind::number, true, "values up to this are 0; -1 for none", {}},
    {"float_values", json_kind::boolean, true, "whether values are rounded to float32", {}},
    {"float_sums", json_kind::boolean, true, "whether leaves are added in float32", {}},
    {"fractions_are_zero", json_kind::boolean, true, "whether values between -1 and 0 are category 0", {}},
    {"covers", json_kind::boolean, true, "whether nodes know the weight of their training rows", {}},
    {"trees", json_kind::integer, true, "how many", {}},
    {"splits", json_kind::integer, true, "of all trees", {}},
    {"sets", json_kind::integer, true, "of categories", {}},
    {"words", json_kind::integer, true, "of all sets", {}},
}};

inline error tree_file_error(std::string_view code, std::string message, std::string where) {
    return {error_kind::model, code, std::move(message), std::move(where),
            "the file is damaged or was not written by this library"};
}

/// Number of the category sets in the order in which splits first use them.
inline std::vector<std::uint32_t> tree_sets_in_use(const tree_ensemble& e, std::vector<std::uint32_t>& order) {
    std::vector<std::uint32_t> number(e.category_sets(), UINT32_MAX);
    for (std::size_t t = 0; t < e.trees(); ++t)
        for (const tree_split& s : e.tree(t).splits)
            if (s.categorical && number[s.categories] == UINT32_MAX) {
                number[s.categories] = static_cast<std::uint32_t>(order.size());
                order.push_back(s.categories);
            }
    return number;
}

inline std::string tree_file_header(const tree_ensemble& e, std::size_t sets, std::size_t words) {
    json header{{"features", std::vector<std::string>(e.feature_names().begin(), e.feature_names().end())},
                {"objective", e.objective()},
                {"outputs", e.outputs()},
                {"average", e.divisor() != 1},
                {"scale", e.scale()},
                {"zero_threshold", e.arithmetic().zero_threshold},
                {"float_values", e.arithmetic().float_values},
                {"float_sums", e.arithmetic().float_sums},
                {"fractions_are_zero", e.arithmetic().fractions_are_zero},
                {"covers", e.has_covers()},
                {"trees", e.trees()},
                {"splits", e.splits()},
                {"sets", sets},
                {"words", words}};
    return header.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Hands out the file's numbers from the front; what is not there is an error.
class tree_file_bytes {
public:
    tree_file_bytes(std::string_view bytes, std::size_t at) : bytes_(bytes), at_(at) {}

    [[nodiscard]] result<const char*> take(std::size_t count, std::size_t size, std::string_view what) {
        if (count > (bytes_.size() - at_) / size)
            return tree_file_error(
                "model.truncated",
                fmt::format("{} {} of {} bytes are announced, {} bytes are left", count, what, size, bytes_.size() - at_),
                fmt::format("byte {}", at_));
        const char* out = bytes_.data() + at_;
        at_ += count * size;
        return out;
    }
    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }

private:
    std::string_view bytes_;
    std::size_t at_;
};

/// The parts of a file, found and counted, not yet believed.
struct tree_file_parts {
    json header;
    std::size_t outputs = 0, trees = 0, splits = 0, sets = 0, words = 0;
    const char *start = nullptr, *bias = nullptr, *tree = nullptr, *split = nullptr, *leaf = nullptr, *split_cover = nullptr,
               *leaf_cover = nullptr, *set = nullptr, *word = nullptr;
    std::size_t splits_at = 0;  // byte
};

inline status read_tree_counts(tree_file_parts& p) {
    OPSPILOT_CHECK(check_object(p.header, tree_header, "", error_kind::model));
    for (const auto& [key, count] :
         {std::pair{"outputs", &p.outputs}, {"trees", &p.trees}, {"splits", &p.splits}, {"sets", &p.sets}, {"words", &p.words}}) {
        const json& node = p.header.at(key);
        if (!node.is_number_unsigned() || node.get<std::uint64_t>() > UINT32_MAX)
            return tree_file_error("model.count", fmt::format("{} must be a count", key), pointer("", key));
        *count = node.get<std::size_t>();
    }
    return {};
}

/// Where each part begins; the file must end with the last one.
inline status find_tree_parts(tree_file_bytes& in, tree_file_parts& p) {
    OPSPILOT_TRY(p.start, in.take(p.outputs, 8, "starts"));
    OPSPILOT_TRY(p.bias, in.take(p.outputs, 8, "biases"));
    const std::size_t trees_at = in.at();
    OPSPILOT_TRY(p.tree, in.take(p.trees, 8, "trees"));
    std::size_t splits = 0;
    for (std::size_t t = 0; t < p.trees; ++t) splits += load_u32(p.tree + 8 * t + 4);
    if (splits != p.splits)
        return tree_file_error("model.count", fmt::format("the trees have {} splits, the header says {}", splits, p.splits),
                               fmt::format("byte {}", trees_at));
    p.splits_at = in.at();
    OPSPILOT_TRY(p.split, in.take(splits, tree_split_bytes, "splits"));
    std::size_t leaves = 0;
    for (std::size_t t = 0; t < p.trees; ++t) {
        const std::size_t width = load_u32(p.tree + 8 * t) == every_output ? p.outputs : 1;
        const std::size_t more = (std::size_t{load_u32(p.tree + 8 * t + 4)} + 1) * width;
        if (more > in.left() / 8 - leaves)
            return tree_file_error("model.truncated", fmt::format("the leaves up to tree {} are more than the file holds", t),
                                   fmt::format("byte {}", in.at()));
        leaves += more;
    }
    OPSPILOT_TRY(p.leaf, in.take(leaves, 8, "leaf values"));
    if (p.header.at("covers").get<bool>()) {
        OPSPILOT_TRY(p.split_cover, in.take(splits, 8, "covers of splits"));
        OPSPILOT_TRY(p.leaf_cover, in.take(splits + p.trees, 8, "covers of leaves"));
    }
    const std::size_t sets_at = in.at();
    OPSPILOT_TRY(p.set, in.take(p.sets, 4, "category sets"));
    std::size_t words = 0;
    for (std::size_t s = 0; s < p.sets; ++s) words += load_u32(p.set + 4 * s);
    if (words != p.words)
        return tree_file_error("model.count", fmt::format("the sets have {} words, the header says {}", words, p.words),
                               fmt::format("byte {}", sets_at));
    OPSPILOT_TRY(p.word, in.take(words, 4, "words of category sets"));
    if (in.left() < tree_digest)
        return tree_file_error("model.truncated", "the file ends before its checksum", fmt::format("byte {}", in.at()));
    if (in.left() > tree_digest)
        return tree_file_error("model.trailing", fmt::format("{} bytes after the end of the model", in.left() - tree_digest),
                               fmt::format("byte {}", in.at() + tree_digest));
    return {};
}

inline std::vector<double> tree_doubles(const char* at, std::size_t count) {
    std::vector<double> out(count);
    for (std::size_t i = 0; i < count; ++i) out[i] = load_f64(at + 8 * i);
    return out;
}

/// Hands a file's trees to the builder.
class tree_file_reader {
public:
    tree_file_reader(const tree_file_parts& parts, const tree_limits& limits) : p_(parts), builder_(limits) {}

    [[nodiscard]] result<tree_ensemble> build() {
        OPSPILOT_CHECK(begin());
        const char* word = p_.word;
        for (std::size_t s = 0; s < p_.sets; ++s) {
            auto& words = sets_.emplace_back(load_u32(p_.set + 4 * s));
            for (std::uint32_t& w : words) {
                w = load_u32(word);
                word += 4;
            }
        }
        for (std::size_t t = 0; t < p_.trees; ++t) OPSPILOT_CHECK(tree(t));
        if (used_ != sets_.size())
            return tree_file_error("model.category_set", fmt::format("{} of {} sets are used", used_, sets_.size()), "/sets");
        return builder_.finish();
    }

private:
    status begin() {
        std::vector<std::string> names;
        for (const json& name : p_.header.at("features")) {
            if (!name.is_string())
                return tree_file_error("model.names", fmt::format("a name must be a string, not {}", kind_name(name)),
                                       pointer("/features", names.size()));
            names.push_back(name.get<std::string>());
        }
        OPSPILOT_CHECK(builder_.begin(std::move(names), p_.outputs, p_.trees));
        builder_.objective(text_or(p_.header, "objective", ""));
        builder_.arithmetic({.zero_threshold = number_or(p_.header, "zero_threshold", -1),
                             .float_values = boolean_or(p_.header, "float_values", false),
                             .float_sums = boolean_or(p_.header, "float_sums", false),
                             .fractions_are_zero = boolean_or(p_.header, "fractions_are_zero", true)});
        if (boolean_or(p_.header, "average", false)) builder_.average();
        OPSPILOT_CHECK(builder_.start(tree_doubles(p_.start, p_.outputs)));
        return builder_.scale_and_bias(number_or(p_.header, "scale", 1), tree_doubles(p_.bias, p_.outputs));
    }

    status tree(std::size_t t) {
        const std::uint32_t output = load_u32(p_.tree + 8 * t);
        const std::uint32_t splits = load_u32(p_.tree + 8 * t + 4);
        const std::size_t nodes = 2 * std::size_t{splits} + 1;
        const std::size_t width = output == every_output ? p_.outputs : 1;
        std::string place = fmt::format("byte {}", split_byte(split_));
        OPSPILOT_CHECK(output == every_output ? builder_.begin_vector_tree(nodes, 0, std::move(place))
                                              : builder_.begin_tree(nodes, output, 0, std::move(place)));
        // The way in which trees are numbered is part of the format: depth first, left before right.
        std::vector<std::uint32_t> expected{0};
        std::uint32_t next_split = 0, next_leaf = 0;
        while (!expected.empty()) {
            const std::uint32_t node = expected.back();
            expected.pop_back();
            if (node >= splits) {
                const std::uint32_t leaf = node - splits;
                if (leaf != next_leaf || leaf > splits) return numbering();
                ++next_leaf;
                OPSPILOT_CHECK(builder_.leaf(node, tree_doubles(p_.leaf + 8 * (leaf_ + leaf * width), width)));
                if (p_.leaf_cover != nullptr)
                    OPSPILOT_CHECK(builder_.cover(node, load_f64(p_.leaf_cover + 8 * (leaf_node_ + leaf))));
                continue;
            }
            if (node != next_split) return numbering();
            ++next_split;
            OPSPILOT_CHECK(split(node, splits, expected));
        }
        split_ += splits;
        leaf_ += (std::size_t{splits} + 1) * width;
        leaf_node_ += std::size_t{splits} + 1;
        return builder_.end_tree();
    }

    status split(std::uint32_t node, std::uint32_t splits, std::vector<std::uint32_t>& expected) {
        const std::size_t at = split_ + node;
        const char* s = p_.split + tree_split_bytes * at;
        const double threshold = load_f64(s);
        const std::uint32_t feature = load_u32(s + 8);
        const std::uint32_t set = load_u32(s + 12);
        const auto child = [&](const char* from) {
            const auto c = static_cast<std::int32_t>(load_u32(from));
            return c >= 0 ? static_cast<std::uint32_t>(c) < splits ? static_cast<std::uint32_t>(c) : UINT32_MAX
                          : splits + static_cast<std::uint32_t>(~c);
        };
        const std::uint32_t left = child(s + 16);
        const std::uint32_t right = child(s + 20);
        const auto missing = static_cast<unsigned char>(s[24]);
        const auto default_left = static_cast<unsigned char>(s[25]);
        const auto categorical = static_cast<unsigned char>(s[26]);
        if (missing > 2 || default_left > 1 || categorical > 1 || s[27] != 0 ||
            (categorical == 1 && (threshold != 0 || missing != 0)) || (categorical == 0 && set != 0))
            return tree_file_error("model.split_fields", "no split has these values", fmt::format("byte {}", split_byte(at)));
        expected.push_back(right);
        expected.push_back(left);
        if (p_.split_cover != nullptr) OPSPILOT_CHECK(builder_.cover(node, load_f64(p_.split_cover + 8 * at)));
        if (categorical == 0)
            return builder_.split(node, feature, threshold, static_cast<missing_rule>(missing), default_left == 1, left, right);
        if (set > used_ || set >= sets_.size())
            return tree_file_error("model.category_set",
                                   fmt::format("set {} of {}, the next one is {}", set, sets_.size(), used_),
                                   fmt::format("byte {}", split_byte(at)));
        used_ = std::max<std::size_t>(used_, std::size_t{set} + 1);
        return builder_.split_categories(node, feature, sets_[set], default_left == 1, left, right);
    }

    [[nodiscard]] std::size_t split_byte(std::size_t split) const { return p_.splits_at + tree_split_bytes * split; }
    [[nodiscard]] error numbering() const {
        return tree_file_error("model.numbering", "nodes are not numbered depth first",
                               fmt::format("byte {}", split_byte(split_)));
    }

    const tree_file_parts& p_;
    tree_builder builder_;
    std::vector<std::vector<std::uint32_t>> sets_;
    std::size_t used_ = 0;                              // sets that some split has used
    std::size_t split_ = 0, leaf_ = 0, leaf_node_ = 0;  // where the tree at hand begins
};

}  // namespace detail

OPSPILOT_INLINE std::string write_tree_file(const tree_ensemble& e) {
    std::vector<std::uint32_t> sets;
    const std::vector<std::uint32_t> number = detail::tree_sets_in_use(e, sets);
    std::size_t words = 0;
    for (const std::uint32_t set : sets) words += e.categories(set).size();
    const std::string header = detail::tree_file_header(e, sets.size(), words);

    std::string out(detail::tree_magic);
    out += detail::tree_version;
    out.append(2, '\0');
    detail::store_u32(out, static_cast<std::uint32_t>(header.size()));
    out += header;
    for (const auto values : {e.start(), e.bias()})
        for (const double v : values) detail::store_f64(out, v);
    for (std::size_t t = 0; t < e.trees(); ++t) {
        const tree_view tree = e.tree(t);
        detail::store_u32(out, tree.width == e.outputs() && e.outputs() > 1 ? detail::every_output : tree.output);
        detail::store_u32(out, static_cast<std::uint32_t>(tree.splits.size()));
    }
    for (std::size_t t = 0; t < e.trees(); ++t)
        for (const tree_split& s : e.tree(t).splits) {
            detail::store_f64(out, s.threshold);
            detail::store_u32(out, s.feature);
            detail::store_u32(out, s.categorical ? number[s.categories] : 0);
            detail::store_u32(out, static_cast<std::uint32_t>(s.left));
            detail::store_u32(out, static_cast<std::uint32_t>(s.right));
            out += static_cast<char>(s.missing);
            out += static_cast<char>(s.default_left ? 1 : 0);
            out += static_cast<char>(s.categorical ? 1 : 0);
            out += '\0';
        }
    for (std::size_t t = 0; t < e.trees(); ++t)
        for (const double v : e.tree(t).leaves) detail::store_f64(out, v);
    for (std::size_t t = 0; t < e.trees(); ++t)
        for (const double v : e.tree(t).split_covers) detail::store_f64(out, v);
    for (std::size_t t = 0; t < e.trees(); ++t)
        for (const double v : e.tree(t).leaf_covers) detail::store_f64(out, v);
    for (const std::uint32_t set : sets) detail::store_u32(out, static_cast<std::uint32_t>(e.categories(set).size()));
    for (const std::uint32_t set : sets)
        for (const std::uint32_t word : e.categories(set)) detail::store_u32(out, word);
    const sha256_digest digest = sha256(out);
    out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
    return out;
}

OPSPILOT_INLINE bool is_tree_file(std::string_view bytes) noexcept { return bytes.starts_with(detail::tree_magic); }

OPSPILOT_INLINE result<tree_ensemble> read_tree_file(std::string_view bytes, const tree_limits& limits) {
    using namespace detail;
    if (bytes.size() > limits.bytes)
        return error{error_kind::limit,
                     "model.limit_bytes",
                     fmt::format("the model has {} bytes, at most {} are allowed", bytes.size(), limits.bytes),
                     {},
                     "raise the limit if the model can be trusted"};
    if (bytes.size() < tree_preamble || !is_tree_file(bytes))
        return tree_file_error("model.magic", "not a file of trees: it does not begin with 'OPSPT'", "byte 0");
    if (bytes[5] != tree_version || bytes[6] != 0 || bytes[7] != 0)
        return error{error_kind::model, "model.version",
                     fmt::format("a file of version {}, this library reads version 1", static_cast<unsigned char>(bytes[5])),
                     "byte 5", "load it with the library that wrote it"};
    tree_file_bytes in(bytes, tree_preamble);
    OPSPILOT_TRY(const char* header, in.take(load_u32(bytes.data() + 8), 1, "characters of the header"));
    tree_file_parts parts;
    const std::string_view text(header, in.at() - tree_preamble);
    if (text.find('\0') != std::string_view::npos)
        return tree_file_error("model.json_syntax", "a null byte in the header", "byte 12");
    OPSPILOT_TRY(parts.header, parse_json(text, error_kind::model));
    OPSPILOT_CHECK(read_tree_counts(parts));
    OPSPILOT_CHECK(find_tree_parts(in, parts));
    const sha256_digest digest = sha256(bytes.substr(0, in.at()));
    if (std::memcmp(digest.data(), bytes.data() + in.at(), tree_digest) != 0)
        return tree_file_error("model.checksum", "the checksum does not match", fmt::format("byte {}", in.at()));
    return tree_file_reader(parts, limits).build();
}

}  // namespace opspilot
