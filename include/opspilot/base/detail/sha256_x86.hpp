/// \file
/// Internal: the compression function of SHA-256 by the instructions that x86-64 has for it. Only kernel sources include this.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace opspilot::detail {

/// FIPS 180-4, 6.2.2, over whole blocks of 64 bytes; `state` holds the eight words a to h. Four rounds per step and the order of
/// the words within the two registers are those of Intel's "SHA Extensions" (Gulley and others, 2013).
inline void sha256_blocks_x86(std::uint32_t* state, const unsigned char* bytes, std::size_t blocks) noexcept {
    alignas(16) static constexpr std::uint32_t constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
        0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
        0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
        0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
        0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
        0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    const auto load = [](const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); };
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);

    const __m128i cdab = _mm_shuffle_epi32(load(state), 0xB1);
    const __m128i efgh = _mm_shuffle_epi32(load(state + 4), 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (; blocks > 0; --blocks, bytes += 64) {
        const __m128i abef_before = abef;
        const __m128i cdgh_before = cdgh;
        __m128i word[4];  // the last 16 words of the message schedule
#pragma GCC unroll 16
        for (std::size_t i = 0; i < 16; ++i) {
            __m128i& w = word[i % 4];
            if (i < 4) {
                w = _mm_shuffle_epi8(load(bytes + 16 * i), big_endian);
            } else {
                const __m128i last = word[(i + 3) % 4];
                const __m128i sum =
                    _mm_add_epi32(_mm_sha256msg1_epu32(w, word[(i + 1) % 4]), _mm_alignr_epi8(last, word[(i + 2) % 4], 4));
                w = _mm_sha256msg2_epu32(sum, last);
            }
            const __m128i k = _mm_add_epi32(w, _mm_load_si128(reinterpret_cast<const __m128i*>(constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace opspilot::detail
