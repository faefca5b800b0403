#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace distill::text::detail {

/// One field of a protocol buffers message.
struct ProtobufField {
  std::uint32_t number = 0;
  std::uint64_t value = 0;  ///< of a number
  std::string_view bytes;   ///< of a text or message
  bool is_number = true;

  float as_float() const;
};

/// Reads the fields of a message one after the other. Nothing is allocated; malformed bytes throw
/// FormatError.
class ProtobufReader {
 public:
  /// `source`: for messages.
  ProtobufReader(std::string_view bytes, const std::string& source)
      : bytes_(bytes), source_(source) {}
  std::optional<ProtobufField> next();

 private:
  std::uint64_t varint();
  std::string_view take(std::uint64_t size);
  [[noreturn]] void malformed() const;

  std::string_view bytes_;
  const std::string& source_;
  std::size_t at_ = 0;
};

}  // namespace distill::text::detail
