#include <distill/core/random.h>

#include <numeric>
#include <utility>

namespace distill::core {

namespace {

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15u;

}  // namespace

RandomState::RandomState(std::uint64_t seed, std::uint64_t stream)
    : raw_{mix(seed + kGolden), mix(stream * kGolden + mix(seed)) | 1u} {}

std::uint64_t RandomState::next() {
  raw_.state += raw_.increment;
  return mix(raw_.state);
}

std::uint64_t RandomState::below(std::uint64_t bound) {
  // Lemire's multiply-shift with rejection of the uneven rest.
  const std::uint64_t threshold = (0 - bound) % bound;
  while (true) {
    const auto wide = static_cast<Wide>(next()) * bound;
    if (static_cast<std::uint64_t>(wide) >= threshold)
      return static_cast<std::uint64_t>(wide >> 64);
  }
}

double RandomState::uniform() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

std::vector<std::int64_t> permutation(std::int64_t count, std::uint64_t seed,
                                      std::uint64_t stream) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  RandomState random(seed, stream);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace distill::core
