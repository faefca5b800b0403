#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <c10/core/ScalarType.h>

/// What the reader and the writer of safetensors share. See docs/formats/safetensors.md.
namespace distill::io::detail {

/// Part of the file format, do not change.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr std::uint64_t kLengthBytes = 8;
inline constexpr std::string_view kMetadataName = "__metadata__";

std::optional<c10::ScalarType> safetensors_dtype(std::string_view name);
/// Nothing for a dtype the format (or this library) has no name for.
std::optional<std::string_view> safetensors_dtype_name(c10::ScalarType dtype);

}  // namespace distill::io::detail
