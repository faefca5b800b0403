#include <distill/core/hash.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include <xxhash.h>

#include <distill/core/error.h>
#include <distill/core/files.h>

namespace distill::core {

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

void Hasher::add(std::string_view text) {
  add(std::as_bytes(std::span(text.data(), text.size())));
}

std::array<std::uint64_t, 2> Hasher::words() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return {hash.high64, hash.low64};
}

std::string Hasher::hex() const {
  const auto [high, low] = words();
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(high),
                static_cast<unsigned long long>(low));
  return text.data();
}

std::string hash_text(std::string_view text) {
  Hasher hasher;
  hasher.add(text);
  return hasher.hex();
}

std::string hash_file(const std::filesystem::path& path,
                      const std::function<void()>& between_parts) {
  // Read, not mapped: the file may shrink meanwhile. One that grows is read as far as it went.
  InputFile file(path);
  std::vector<std::byte> part(std::size_t{1} << 20);
  Hasher hasher;
  for (std::uint64_t left = file.size(); left > 0;) {
    const std::size_t count =
        file.read(std::span(part).first(std::min<std::uint64_t>(left, part.size())));
    if (count == 0) break;
    hasher.add(std::span(part).first(count));
    left -= count;
    if (between_parts) between_parts();
  }
  return hasher.hex();
}

}  // namespace distill::core
