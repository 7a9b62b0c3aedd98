#pragma once

#include <algorithm>

#include "opspilot/base/hash.hpp"
#include "opspilot/data/dictionary.hpp"

namespace opspilot {

OPSPILOT_INLINE std::uint32_t dictionary::find(std::string_view text, std::uint64_t hash) const noexcept {
    if (slots_.empty()) return no_code;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
        const std::uint32_t code = slots_[slot];
        if (code == no_code) return no_code;
        if (hashes_[code] == hash && this->text(code) == text) return code;
    }
}

OPSPILOT_INLINE std::uint32_t dictionary::insert(std::string_view text, std::uint64_t hash) {
    if (const std::uint32_t known = find(text, hash); known != no_code) return known;
    const std::uint32_t code = size();
    if (code == no_code) return no_code;  // four thousand million texts: memory has run out long before
    if (2 * (std::size_t{code} + 1) > slots_.size()) rehash(std::max<std::size_t>(16, 2 * slots_.size()));
    // Room first, so that exhausted memory leaves the dictionary as it was.
    hashes_.push_back(hash);
    try {
        starts_.push_back(bytes_.size() + text.size());
        bytes_.append(text);
    } catch (...) {
        hashes_.resize(code);
        starts_.resize(std::size_t{code} + 1);
        throw;
    }
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash & mask;
    while (slots_[slot] != no_code) slot = (slot + 1) & mask;
    slots_[slot] = code;
    return code;
}

OPSPILOT_INLINE std::uint32_t dictionary::insert(std::string_view text) { return insert(text, xxh3(text)); }

OPSPILOT_INLINE std::uint32_t dictionary::find(std::string_view text) const noexcept {
    return slots_.empty() ? no_code : find(text, xxh3(text));
}

OPSPILOT_INLINE std::string_view dictionary::text(std::uint32_t code) const noexcept {
    return std::string_view(bytes_).substr(starts_[code], starts_[std::size_t{code} + 1] - starts_[code]);
}

OPSPILOT_INLINE void dictionary::clear() noexcept {
    // One large decision must not make every later reset slow: few texts are unhooked one by one. In order of insertion each
    // stands where its probe ended, whatever has been emptied on the way.
    if (hashes_.size() < slots_.size() / 8) {
        const std::size_t mask = slots_.size() - 1;
        for (std::uint32_t code = 0; code < hashes_.size(); ++code) {
            std::size_t slot = hashes_[code] & mask;
            while (slots_[slot] != code) slot = (slot + 1) & mask;
            slots_[slot] = no_code;
        }
    } else {
        std::fill(slots_.begin(), slots_.end(), no_code);
    }
    bytes_.clear();
    hashes_.clear();
    starts_.resize(1);
}

OPSPILOT_INLINE void dictionary::rehash(std::size_t slots) {
    std::vector<std::uint32_t> fresh(slots, no_code);
    const std::size_t mask = slots - 1;
    for (std::uint32_t code = 0; code < hashes_.size(); ++code) {
        std::size_t slot = hashes_[code] & mask;
        while (fresh[slot] != no_code) slot = (slot + 1) & mask;
        fresh[slot] = code;
    }
    slots_.swap(fresh);
}

OPSPILOT_INLINE std::uint32_t interner::code(std::string_view text) {
    const std::uint64_t hash = xxh3(text);
    if (growing_) return growing_->insert(text, hash);
    if (const std::uint32_t known = frozen_->find(text, hash); known != no_code) return known;
    return frozen_->size() + local_.insert(text, hash);
}

OPSPILOT_INLINE std::uint32_t interner::find(std::string_view text) const noexcept {
    const std::uint64_t hash = xxh3(text);
    if (const std::uint32_t known = frozen_->find(text, hash); known != no_code) return known;
    const std::uint32_t local = local_.find(text, hash);
    return local == no_code ? no_code : frozen_->size() + local;
}

OPSPILOT_INLINE std::string_view interner::text(std::uint32_t code) const noexcept {
    if (code < frozen_->size()) return frozen_->text(code);
    const std::uint32_t local = code - frozen_->size();
    return local < local_.size() ? local_.text(local) : std::string_view{};  // no_code reads as ""
}

}  // namespace opspilot
