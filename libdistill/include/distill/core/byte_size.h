#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace distill::core {

/// `5GB`, `500 MB`, `64KiB`, `1000`: decimal units (KB, MB, GB, TB) as Hugging Face tools count
/// them, binary ones (KiB, MiB, GiB, TiB), or plain bytes; whole numbers only, in any case. Nothing
/// for another form and for sizes beyond 64 bits.
std::optional<std::uint64_t> parse_byte_size(std::string_view text);

}  // namespace distill::core
