#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace distill::core {

/// XXH3, 128 bits: a fast checksum against damage and mix-ups, not against forgery.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  /// 32 lower-case hex digits. Part of the run-folder and checkpoint formats, do not change.
  std::string hex() const;
  /// The same as two numbers: high, low.
  std::array<std::uint64_t, 2> words() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_text(std::string_view text);
/// `between_parts` is called every few milliseconds of work; what it throws ends the hashing.
std::string hash_file(const std::filesystem::path& path,
                      const std::function<void()>& between_parts = {});

}  // namespace distill::core
