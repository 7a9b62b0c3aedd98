// From values to ranks: what a value is to a model is only on which side of each threshold it lies, so it is replaced by
// the number of thresholds below it, one byte for every 255 thresholds of its feature, and a split becomes a byte compare.
//
// A byte column belongs to a feature, a run of at most 255 of its thresholds and a rule for missing values. It holds
// clamp(rank - 255 · run, 0, 255), kept as a signed byte (minus 128); a split at threshold k of the run goes right when the
// byte exceeds k. Any number of thresholds is exact this way, without a second, wider path. The column of a categorical split
// holds `goes_left_byte` or `goes_right_byte` for its category set.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "opspilot/rank/detail/tree_walk.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot::detail {

inline constexpr std::uint32_t run_length = 255;        // thresholds per byte column
inline constexpr std::size_t most_thresholds = 65'534;  // per feature, so that a rank fits 16 bits
inline constexpr std::size_t most_columns = 65'535;
/// Categories that 256 bits of a set speak of; the two codes above them are no category and a missing value.
inline constexpr std::uint32_t category_chunk = 254;
inline constexpr std::uint8_t no_category_code = 254, missing_code = 255;
inline constexpr std::uint32_t most_chunks = 16;  // of a feature; with more categories each lane looks up its bit
inline constexpr std::uint32_t most_steps = 4;    // beyond that a search by halves is no slower

/// What a column does with a missing value.
enum class missing_way : std::uint8_t { as_zero, left, right, zero_left, zero_right };

inline missing_way missing_way_of(const tree_split& s) noexcept {
    if (s.missing == missing_rule::none) return missing_way::as_zero;
    if (s.missing == missing_rule::nan) return s.default_left ? missing_way::left : missing_way::right;
    return s.default_left ? missing_way::zero_left : missing_way::zero_right;
}

/// The largest float that is not above t: for a float v, v <= result exactly when v <= t.
inline float float_not_above(double t) noexcept {
    constexpr double largest = std::numeric_limits<float>::max();
    if (t >= largest) return std::isinf(t) ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::max();
    if (t < -largest) return -std::numeric_limits<float>::infinity();
    const auto f = static_cast<float>(t);
    return static_cast<double>(f) > t ? std::nextafter(f, -std::numeric_limits<float>::infinity()) : f;
}

/// The threshold that decides every value like `t` decides values whose magnitudes up to `zero` were set to 0.
inline double folded_threshold(double t, double zero) noexcept {
    if (!(zero >= 0) || t < -zero || t >= zero) return t;
    return t >= 0 ? zero : std::nextafter(-zero, -std::numeric_limits<double>::infinity());
}

struct byte_column {
    std::uint32_t run = 0;  // numerical: which run of thresholds; categorical: the category set
    missing_way missing = missing_way::as_zero;
    std::uint32_t splits = 0;                   // how many ask about it
    std::uint32_t first_piece = 0, pieces = 0;  // categorical: what of its set is not empty
};

/// Of a category set what concerns one chunk: a bit per category, and whether a missing value goes left.
struct category_piece {
    std::uint32_t chunk = 0;
    std::uint8_t bits[32] = {};
};

/// One feature as splits ask for it: numerical, or categorical.
struct feature_ranks {
    std::uint32_t feature = 0;
    bool categorical = false;
    std::uint8_t steps = 0;             // most thresholds of a cell; over most_steps: search by halves
    std::uint16_t zero = 0;             // rank of 0
    float low = 0, scale = 0;           // cell = (value - low) · scale, clamped to the grid
    std::uint32_t first_threshold = 0;  // into floats and doubles: thresholds, then an infinity
    std::uint32_t thresholds = 0;
    std::uint32_t first_cell = 0;  // into cells or wide_cells: of each cell the rank that its smallest value has at least
    std::uint32_t cells = 0;
    std::uint32_t first_column = 0;
    std::uint32_t columns = 0;
    std::uint32_t chunks = 0;  // categorical: of its largest set; 0: no pieces are kept
};

struct rank_tables {
    std::vector<feature_ranks> features;  // in the order of their columns
    std::vector<byte_column> columns;
    std::vector<double> doubles;      // thresholds, ascending per feature
    std::vector<float> floats;        // the same, as float_not_above
    std::vector<std::uint8_t> cells;  // of features with up to 255 thresholds; the others have
    std::vector<std::uint16_t> wide_cells;
    std::vector<std::uint32_t> words;  // of category sets
    std::vector<std::size_t> first_word{0};
    std::vector<category_piece> pieces;
    double zero_threshold = -1;
    bool float_values = false;
    bool fractions_are_zero = true;

    [[nodiscard]] std::span<const std::uint32_t> set(std::size_t s) const noexcept {
        return {words.data() + first_word[s], first_word[s + 1] - first_word[s]};
    }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return pieces.size() * sizeof(category_piece) + words.size() * sizeof(std::uint32_t) +
               first_word.size() * sizeof(std::size_t) + features.size() * sizeof(feature_ranks) +
               columns.size() * sizeof(byte_column) + doubles.size() * sizeof(double) + floats.size() * sizeof(float) +
               cells.size() + wide_cells.size() * sizeof(std::uint16_t);
    }
};

template <class T>
std::span<const T> thresholds_of(const rank_tables& tables, const feature_ranks& f) noexcept {
    if constexpr (std::is_same_v<T, float>)
        return {tables.floats.data() + f.first_threshold, f.thresholds};
    else
        return {tables.doubles.data() + f.first_threshold, f.thresholds};
}

/// Monotone in the value, so thresholds of lower cells are below it and those of higher cells are not. NaN lands in cell 0.
inline std::uint32_t cell_of(float value, float low, float scale, float last) noexcept {
    float x = (value - low) * scale;
    x = x > 0.0F ? x : 0.0F;
    x = x < last ? x : last;
    return static_cast<std::uint32_t>(x);
}

/// Where a split finds its byte: column, and the rank that must be exceeded to go right.
struct split_place {
    std::uint32_t column = 0;
    std::int8_t rank = 0;
};

/// Collects what all splits ask for, then answers where each finds its byte.
class rank_builder {
public:
    explicit rank_builder(const tree_ensemble& e) : ensemble_(e) {}

    void add(const tree_split& s) {
        if (!s.categorical)
            thresholds_[s.feature].push_back(folded_threshold(s.threshold, ensemble_.arithmetic().zero_threshold));
    }
    /// False when the ensemble asks for more than ranks can hold; then nothing else may be called.
    [[nodiscard]] bool finish(const std::vector<tree_split>& splits) {
        const tree_arithmetic& how = ensemble_.arithmetic();
        out_.zero_threshold = how.zero_threshold;
        out_.float_values = how.float_values;
        out_.fractions_are_zero = how.fractions_are_zero;
        for (std::uint32_t set = 0; set < ensemble_.category_sets(); ++set) {
            const auto words = ensemble_.categories(set);
            out_.words.insert(out_.words.end(), words.begin(), words.end());
            out_.first_word.push_back(out_.words.size());
        }
        for (auto& [feature, values] : thresholds_) {
            std::sort(values.begin(), values.end());
            values.erase(std::unique(values.begin(), values.end()), values.end());
            if (values.size() > most_thresholds) return false;
        }
        // Which (run, rule) columns are asked for.
        std::map<std::pair<std::uint32_t, bool>, std::vector<std::pair<std::uint32_t, missing_way>>> wanted;
        for (const tree_split& s : splits) {
            auto& list = wanted[{s.feature, s.categorical}];
            if (s.categorical)
                list.emplace_back(s.categories, s.default_left ? missing_way::left : missing_way::right);
            else
                list.emplace_back(index_of(s) / run_length, missing_way_of(s));
        }
        for (auto& [key, list] : wanted) {
            std::sort(list.begin(), list.end());
            feature_ranks f;
            f.feature = key.first;
            f.categorical = key.second;
            f.first_column = static_cast<std::uint32_t>(out_.columns.size());
            for (const auto& [run, way] : list) {
                const bool known =
                    out_.columns.size() > f.first_column && out_.columns.back().run == run && out_.columns.back().missing == way;
                if (!known) out_.columns.push_back({run, way, 0, 0, 0});
                ++out_.columns.back().splits;
            }
            f.columns = static_cast<std::uint32_t>(out_.columns.size()) - f.first_column;
            f.categorical ? cut_sets(f) : lay_grid(f);
            places_[key] = out_.features.size();
            out_.features.push_back(f);
        }
        return out_.columns.size() <= most_columns;
    }
    [[nodiscard]] split_place place(const tree_split& s) const {
        const feature_ranks& f = out_.features[places_.at({s.feature, s.categorical})];
        const std::uint32_t k = s.categorical ? 0 : index_of(s);
        const byte_column wanted{s.categorical ? s.categories : k / run_length,
                                 s.categorical ? (s.default_left ? missing_way::left : missing_way::right) : missing_way_of(s), 0,
                                 0, 0};
        const auto* const first = out_.columns.data() + f.first_column;
        const auto* const found = std::lower_bound(
            first, first + f.columns, wanted,
            [](const byte_column& a, const byte_column& b) { return std::pair(a.run, a.missing) < std::pair(b.run, b.missing); });
        return {static_cast<std::uint32_t>(found - out_.columns.data()),
                s.categorical ? std::int8_t{0} : static_cast<std::int8_t>(static_cast<int>(k % run_length) - 128)};
    }
    /// Where the threshold of a split stands in the tables, or, of a split that nobody added, a place of its own.
    [[nodiscard]] std::uint32_t threshold_place(const tree_split& s) const {
        return out_.features[places_.at({s.feature, false})].first_threshold + index_of(s);
    }
    [[nodiscard]] std::uint32_t keep_threshold(double t) {
        out_.doubles.push_back(t);
        out_.floats.push_back(float_not_above(t));
        return static_cast<std::uint32_t>(out_.doubles.size() - 1);
    }
    [[nodiscard]] rank_tables take() { return std::move(out_); }

private:
    [[nodiscard]] std::uint32_t index_of(const tree_split& s) const {
        const std::vector<double>& list = thresholds_.at(s.feature);
        const double t = folded_threshold(s.threshold, ensemble_.arithmetic().zero_threshold);
        return static_cast<std::uint32_t>(std::lower_bound(list.begin(), list.end(), t) - list.begin());
    }
    void cut_sets(feature_ranks& f) {
        const std::span<byte_column> columns(out_.columns.data() + f.first_column, f.columns);
        std::size_t most = 1;
        for (const byte_column& c : columns) most = std::max(most, out_.set(c.run).size() * 32);
        const std::size_t chunks = (most + category_chunk - 1) / category_chunk;
        if (chunks > most_chunks) return;
        f.chunks = static_cast<std::uint32_t>(chunks);
        for (byte_column& c : columns) {
            c.first_piece = static_cast<std::uint32_t>(out_.pieces.size());
            const std::span<const std::uint32_t> words = out_.set(c.run);
            for (std::uint32_t chunk = 0; chunk < f.chunks; ++chunk) {
                category_piece piece;
                piece.chunk = chunk;
                bool any = false;
                const auto put = [&](std::uint32_t code) {
                    piece.bits[code / 8] = static_cast<std::uint8_t>(piece.bits[code / 8] | 1U << code % 8);
                    any = true;
                };
                for (std::uint32_t code = 0; code < category_chunk; ++code)
                    if (const std::size_t category = std::size_t{chunk} * category_chunk + code;
                        category / 32 < words.size() && (words[category / 32] >> category % 32 & 1U) != 0)
                        put(code);
                if (chunk == 0 && c.missing == missing_way::left) put(missing_code);
                if (any) out_.pieces.push_back(piece);
            }
            c.pieces = static_cast<std::uint32_t>(out_.pieces.size()) - c.first_piece;
        }
    }
    void lay_grid(feature_ranks& f) {
        const std::vector<double>& list = thresholds_.at(f.feature);
        f.first_threshold = static_cast<std::uint32_t>(out_.doubles.size());
        f.thresholds = static_cast<std::uint32_t>(list.size());
        f.zero = static_cast<std::uint16_t>(std::lower_bound(list.begin(), list.end(), 0.0) - list.begin());
        for (const double t : list) {
            out_.doubles.push_back(t);
            out_.floats.push_back(float_not_above(t));
        }
        // Nothing exceeds an infinity, so a search that has passed all thresholds stays there.
        out_.doubles.push_back(std::numeric_limits<double>::infinity());
        out_.floats.push_back(std::numeric_limits<float>::infinity());

        float low = std::numeric_limits<float>::max();
        float high = std::numeric_limits<float>::lowest();
        for (const double t : list)
            if (const auto value = static_cast<float>(t); std::isfinite(value)) {
                low = std::min(low, value);
                high = std::max(high, value);
            }
        f.low = low <= high ? low : 0.0F;
        // The smallest grid in which a search takes at most two steps, or else the largest.
        const float width = low < high ? high - low : 0.0F;
        std::vector<std::uint32_t> count;
        std::uint32_t most = 0;
        for (f.cells = 64;; f.cells *= 2) {
            const auto last = static_cast<float>(f.cells - 1);
            f.scale = width > 0 && std::isfinite(last / width) ? last / width : 0.0F;
            count.assign(f.cells, 0);
            for (const double t : list) ++count[cell_of(static_cast<float>(t), f.low, f.scale, last)];
            most = *std::max_element(count.begin(), count.end());
            if (most <= 2 || f.cells == 4096) break;
        }
        f.steps = static_cast<std::uint8_t>(std::min<std::uint32_t>(most, 255));
        if (most > most_steps) {  // the grid would not be used
            f.cells = 0;
            return;
        }
        const bool wide = list.size() > run_length;
        f.first_cell = static_cast<std::uint32_t>(wide ? out_.wide_cells.size() : out_.cells.size());
        std::uint32_t rank = 0;
        for (const std::uint32_t n : count) {
            if (wide)
                out_.wide_cells.push_back(static_cast<std::uint16_t>(rank));
            else
                out_.cells.push_back(static_cast<std::uint8_t>(rank));
            rank += n;
        }
    }

    const tree_ensemble& ensemble_;
    rank_tables out_;
    std::map<std::uint32_t, std::vector<double>> thresholds_;
    std::map<std::pair<std::uint32_t, bool>, std::size_t> places_;
};

}  // namespace opspilot::detail
