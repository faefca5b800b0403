#include "text/protobuf_reader.h"

#include <bit>

#include <distill/core/error.h>

namespace distill::text::detail {

float ProtobufField::as_float() const {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value));
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (at_ == bytes_.size()) return std::nullopt;
  const std::uint64_t tag = varint();
  ProtobufField field;
  if (tag >> 32 != 0 || tag >> 3 == 0) malformed();
  field.number = static_cast<std::uint32_t>(tag >> 3);
  const auto read_fixed = [&](std::size_t size) {
    const std::string_view bytes = take(size);
    for (std::size_t i = size; i-- > 0;) {
      field.value = (field.value << 8) | static_cast<unsigned char>(bytes[i]);
    }
  };
  switch (tag & 7) {
    case 0:
      field.value = varint();
      break;
    case 1:
      read_fixed(8);
      break;
    case 2:
      field.is_number = false;
      field.bytes = take(varint());
      break;
    case 5:
      read_fixed(4);
      break;
    default:
      malformed();
  }
  return field;
}

std::uint64_t ProtobufReader::varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(1)[0]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  malformed();
}

std::string_view ProtobufReader::take(std::uint64_t size) {
  if (size > bytes_.size() - at_) malformed();
  const std::string_view part = bytes_.substr(at_, static_cast<std::size_t>(size));
  at_ += part.size();
  return part;
}

void ProtobufReader::malformed() const {
  fail<FormatError>(source_, " @", at_,
                    ": is no SentencePiece model (its messages are cut short or ",
                    "malformed); copy the file again");
}

}  // namespace distill::text::detail
