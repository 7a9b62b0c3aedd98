/// \file
/// Strings as 32-bit codes: equal strings have equal codes, so equality, lookups and policy predicates work on integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/config.hpp"

namespace opspilot {

/// "No string": a missing cell, or a text that was looked up and not found.
inline constexpr std::uint32_t no_code = std::numeric_limits<std::uint32_t>::max();

/// A growing set of strings with dense codes in order of first insertion. Reading is thread-safe while nobody inserts.
class OPSPILOT_API dictionary {
public:
    /// Code of the text, inserted when new.
    std::uint32_t insert(std::string_view text);
    /// Code of the text, or `no_code`.
    [[nodiscard]] std::uint32_t find(std::string_view text) const noexcept;
    /// The text of a code below `size()`. The view holds until the next insert or clear.
    [[nodiscard]] std::string_view text(std::uint32_t code) const noexcept;
    [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(starts_.size() - 1); }
    /// Forgets all strings, keeps the memory.
    void clear() noexcept;

private:
    friend class interner;  // looks in two dictionaries with one hash
    std::uint32_t insert(std::string_view text, std::uint64_t hash);
    [[nodiscard]] std::uint32_t find(std::string_view text, std::uint64_t hash) const noexcept;
    void rehash(std::size_t slots);

    std::string bytes_;                   // all texts, one after the other
    std::vector<std::size_t> starts_{0};  // text i is bytes_[starts_[i], starts_[i+1])
    std::vector<std::uint64_t> hashes_;   // of text i
    std::vector<std::uint32_t> slots_;    // open addressing, power of two, no_code = empty
};

/// A frozen dictionary shared by threads (a bundle's) extended by strings of one decision (a workspace's).
/// Codes below `frozen().size()` mean the same in every workspace of the bundle; higher ones only until `reset()`.
/// Not thread-safe; one per workspace. Allocates nothing once its buffers have grown to the traffic's size.
/// While a bundle is compiled nothing is frozen yet: `interner::growing(strings)` puts every text into the bundle's own
/// dictionary, so that codes of the catalogue, the transforms and the policy mean the same in all later workspaces.
class OPSPILOT_API interner {
public:
    /// `frozen` must outlive the interner and must not grow meanwhile.
    explicit interner(const dictionary& frozen) noexcept : frozen_(&frozen) {}
    /// Inserts into `strings` itself; `reset()` then forgets nothing.
    [[nodiscard]] static interner growing(dictionary& strings) noexcept {
        interner made(strings);
        made.growing_ = &strings;
        return made;
    }

    std::uint32_t code(std::string_view text);
    [[nodiscard]] std::uint32_t find(std::string_view text) const noexcept;
    [[nodiscard]] std::string_view text(std::uint32_t code) const noexcept;
    [[nodiscard]] std::uint32_t size() const noexcept { return frozen_->size() + local_.size(); }
    [[nodiscard]] const dictionary& frozen() const noexcept { return *frozen_; }
    void reset() noexcept { local_.clear(); }

private:
    const dictionary* frozen_;
    dictionary* growing_ = nullptr;  // the same object as frozen_ while a bundle is compiled
    dictionary local_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/data/dictionary-inl.hpp"
#endif
