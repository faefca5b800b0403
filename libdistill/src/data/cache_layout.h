#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

namespace distill::data {

// Part of the file format, do not change.
static_assert(std::endian::native == std::endian::little);
inline constexpr std::array<char, 8> kCacheMagic = {'D', 'S', 'T', 'L', 'T', 'O', 'K', '\n'};
inline constexpr std::uint32_t kCacheVersion = 1;

struct CacheHeader {
  std::array<char, 8> magic = kCacheMagic;
  std::uint32_t version = kCacheVersion;
  std::uint32_t zero = 0;
  std::array<char, 32> key{};
  std::array<char, 16> padding{};
};
static_assert(sizeof(CacheHeader) == 64);

struct CacheTrailer {
  std::uint64_t num_words = 0;
  std::uint64_t num_documents = 0;
  std::uint64_t summary_bytes = 0;
  std::uint64_t zero = 0;
  std::array<char, 32> words_hash{};
  std::array<char, 32> documents_hash{};
  std::array<char, 32> rest_hash{};  ///< of header, summary, and the trailer up to here
};
static_assert(sizeof(CacheTrailer) == 128);
inline constexpr std::size_t kHashedTrailer = sizeof(CacheTrailer) - 32;

/// Sections begin at multiples of eight bytes, with zeros before them.
inline constexpr std::uint64_t kCacheAlignment = 8;
constexpr std::uint64_t cache_padding(std::uint64_t bytes) {
  return (kCacheAlignment - bytes % kCacheAlignment) % kCacheAlignment;
}

template <std::size_t N>
std::string_view text_of(const std::array<char, N>& chars) {
  return {chars.data(), chars.size()};
}

}  // namespace distill::data
