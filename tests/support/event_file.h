#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace distill::testing {

/// One event of a TensorBoard file.
struct ReadEvent {
  double wall_time = 0;
  std::int64_t step = 0;
  std::string version = {};
  bool starts = false;  ///< a session begins
  std::vector<std::pair<std::string, float>> scalars = {};
};

/// CRC-32C bit by bit, as RFC 3720 defines it: slow, and nothing of ours.
inline std::uint32_t plain_crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc % 2 == 1 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

/// Reads event files: records, then the protocol buffers in them. Fails the test on anything that
/// is not as TensorBoard wants it.
class EventFileReader {
 public:
  explicit EventFileReader(std::string_view bytes) : bytes_(bytes) {}

  /// The events of all whole records; what is left behind them is in `rest`.
  std::vector<ReadEvent> all() {
    std::vector<ReadEvent> events;
    while (bytes_.size() >= 12) {
      const auto length = integer<std::uint64_t>(bytes_.substr(0, 8));
      if (integer<std::uint32_t>(bytes_.substr(8, 4)) != masked(bytes_.substr(0, 8))) {
        ADD_FAILURE() << "the checksum of a length is wrong";
        break;
      }
      if (length > bytes_.size() - 12 || bytes_.size() - 12 - length < 4) break;
      const std::string_view data = bytes_.substr(12, length);
      EXPECT_EQ(integer<std::uint32_t>(bytes_.substr(12 + length, 4)), masked(data));
      events.push_back(event(data));
      bytes_.remove_prefix(16 + length);
    }
    return events;
  }
  std::string_view rest() const { return bytes_; }

 private:
  struct Field {
    std::uint64_t number = 0;
    std::uint64_t value = 0;      // of an integer, or the bits of a number
    std::string_view bytes = {};  // of a text or a message
  };

  template <class Integer>
  static Integer integer(std::string_view bytes) {
    Integer value = 0;
    std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
  }
  template <class Real, class Bits>
  static Real real(Bits bits) {
    Real value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  static std::uint32_t masked(std::string_view bytes) {
    const std::uint32_t crc = plain_crc32c(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  }
  static std::uint64_t varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (int shift = 0; !bytes.empty() && shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    ADD_FAILURE() << "an integer has no end";
    return value;
  }
  static std::vector<Field> fields(std::string_view bytes) {
    std::vector<Field> all;
    while (!bytes.empty()) {
      const std::uint64_t key = varint(bytes);
      Field field{key >> 3};
      const std::size_t size = key % 8 == 1 ? 8 : key % 8 == 5 ? 4 : 0;
      if (key % 8 == 0) {
        field.value = varint(bytes);
      } else if (key % 8 == 2) {
        const std::uint64_t length = varint(bytes);
        field.bytes = bytes.substr(0, length);
        EXPECT_EQ(field.bytes.size(), length);
        bytes.remove_prefix(field.bytes.size());
      } else if (size > 0 && bytes.size() >= size) {
        field.value = size == 8 ? integer<std::uint64_t>(bytes.substr(0, 8))
                                : integer<std::uint32_t>(bytes.substr(0, 4));
        bytes.remove_prefix(size);
      } else {
        ADD_FAILURE() << "a field of a kind that is not known";
        return all;
      }
      all.push_back(field);
    }
    return all;
  }
  static ReadEvent event(std::string_view data) {
    ReadEvent event;
    for (const auto& field : fields(data)) {
      if (field.number == 1) event.wall_time = real<double>(field.value);
      if (field.number == 2) event.step = static_cast<std::int64_t>(field.value);
      if (field.number == 3) event.version = std::string(field.bytes);
      if (field.number == 7) {
        for (const auto& inner : fields(field.bytes)) {
          event.starts = event.starts || (inner.number == 1 && inner.value == 1);
        }
      }
      if (field.number != 5) continue;
      for (const auto& value : fields(field.bytes)) {
        EXPECT_EQ(value.number, 1u);
        event.scalars.emplace_back();
        for (const auto& inner : fields(value.bytes)) {
          if (inner.number == 1) event.scalars.back().first = std::string(inner.bytes);
          if (inner.number == 2) {
            event.scalars.back().second = real<float>(static_cast<std::uint32_t>(inner.value));
          }
        }
      }
    }
    return event;
  }

  std::string_view bytes_;
};

}  // namespace distill::testing
