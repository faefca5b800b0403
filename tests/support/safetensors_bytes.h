#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace distill::testing {

/// The bytes of a safetensors file: the header's length, the header, the data. Nothing is checked.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

/// The memory of some numbers, as a file holds it.
template <class T>
std::string raw_bytes(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

}  // namespace distill::testing
