#include <distill/models/fingerprint.h>

#include <algorithm>

#include <distill/core/hash.h>
#include <distill/core/strings.h>
#include <distill/io/safetensors.h>

namespace distill::models {

std::string fingerprint(const std::filesystem::path& folder) {
  constexpr std::uint64_t kPartBytes = 4096;  // part of adapter files, do not change
  core::Hasher hasher;
  const auto weights = io::SafetensorsFolder::open(folder);
  for (const auto& [name, location] : weights.tensors()) {
    hasher.add(core::concat(name, ' ', c10::toString(location.entry->dtype)));
    for (const std::int64_t size : location.entry->shape) hasher.add(core::concat(' ', size));
    hasher.add("\n");
    const at::Tensor tensor = location.file->tensor(*location.entry);
    const auto bytes = static_cast<std::uint64_t>(tensor.nbytes());
    const std::uint64_t part = std::min(bytes, kPartBytes), rest = bytes - part;
    for (const std::uint64_t begin : {std::uint64_t{0}, rest / 2, rest}) {
      hasher.add(std::span(static_cast<const std::byte*>(tensor.const_data_ptr()) + begin, part));
    }
    location.file->forget(*location.entry);
  }
  return hasher.hex();
}

}  // namespace distill::models
