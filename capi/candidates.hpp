// Candidates from column pointers, shown to the engine as the Arrow struct array it reads anyway. Values stay where they are.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/decide/engine.hpp"

namespace opspilot::c_surface {

/// Texts one after the other; text i is bytes[offsets[i], offsets[i + 1]).
struct text_values {
    const char* bytes = nullptr;
    std::size_t size = 0;
    const std::int64_t* offsets = nullptr;
};

class candidate_columns {
public:
    [[nodiscard]] status clear(std::size_t rows);
    /// 64-bit values of Arrow format "l" or "g".
    [[nodiscard]] status add_fixed(std::string_view name, const char* format, const void* values, const std::uint8_t* given);
    [[nodiscard]] status add_bool(std::string_view name, const std::uint8_t* values, const std::uint8_t* given);
    [[nodiscard]] status add_text(std::string_view name, const text_values& values, const std::uint8_t* given);
    [[nodiscard]] status add_codes(std::string_view name, const std::uint32_t* codes, const text_values& values,
                                   std::size_t texts, const std::uint8_t* given);
    void set_arrow(const ArrowSchema* schema, const ArrowArray* array) noexcept;

    [[nodiscard]] table_source source() const noexcept { return {.schema = schema_, .chunks = {&array_, 1}}; }

    candidate_columns();
    candidate_columns(const candidate_columns&) = delete;
    candidate_columns& operator=(const candidate_columns&) = delete;

private:
    /// One column with everything its Arrow structs point to. Never moves, so the pointers hold.
    struct column {
        std::string name;
        std::vector<std::uint8_t> given, bits;          // bitmaps, least significant bit first
        std::array<const void*, 3> buffers{}, texts{};  // of the column, of its dictionary
        ArrowSchema schema{}, dictionary_schema{};
        ArrowArray array{}, dictionary{};
    };

    [[nodiscard]] result<column*> begin(std::string_view name, const char* format, const void* values, const std::uint8_t* given);
    void finish(column& c, std::int64_t buffers);
    [[nodiscard]] static status check_offsets(const text_values& values, std::size_t texts);

    std::size_t rows_ = 0;
    std::size_t used_ = 0;
    std::vector<std::unique_ptr<column>> columns_;  // the first `used_` are in use, the others wait
    std::vector<ArrowSchema*> schemas_;
    std::vector<ArrowArray*> arrays_;
    ArrowSchema own_schema_{};
    ArrowArray own_array_{};
    const void* no_validity_ = nullptr;
    const ArrowSchema* schema_ = &own_schema_;
    const ArrowArray* array_ = &own_array_;
};

}  // namespace opspilot::c_surface
