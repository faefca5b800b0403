#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace distill::metrics::detail {

/// CRC-32C (Castagnoli), as in RFC 3720.
std::uint32_t crc32c(std::string_view bytes);

/// `data` as a record of a TFRecord file: its length (uint64, little-endian), the masked CRC of
/// those eight bytes, the data, the masked CRC of the data.
std::string event_record(std::string_view data);

}  // namespace distill::metrics::detail
