#include "metrics/event_message.h"

#include <bit>
#include <limits>
#include <string_view>

namespace distill::metrics::detail {

namespace {

/// A message of protocol buffers: fields one after the other, each with its number and kind.
class Message {
 public:
  Message& integer(std::uint32_t field, std::int64_t value) {
    key(field, 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& real(std::uint32_t field, double value) {
    key(field, 1);
    little_endian(std::bit_cast<std::uint64_t>(value), 8);
    return *this;
  }
  Message& real(std::uint32_t field, float value) {
    key(field, 5);
    little_endian(std::bit_cast<std::uint32_t>(value), 4);
    return *this;
  }
  Message& bytes(std::uint32_t field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    text_ += value;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  void key(std::uint32_t field, std::uint32_t kind) { varint(field << 3 | kind); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) text_ += static_cast<char>((value & 0x7f) | 0x80);
    text_ += static_cast<char>(value);
  }
  void little_endian(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text_ += static_cast<char>((value >> (8 * i)) & 0xff);
  }

  std::string text_;
};

// Numbers of the fields. Part of the file format, do not change.
constexpr std::uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
constexpr std::uint32_t kSummaryValue = 1, kTag = 1, kSimpleValue = 2;
constexpr std::uint32_t kStatus = 1;
constexpr std::int64_t kStatusStart = 1;

float narrowed(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (value > kLargest) return kInfinity;
  if (value < -kLargest) return -kInfinity;
  return static_cast<float>(value);
}

}  // namespace

std::string version_event(double wall_time) {
  return Message().real(kWallTime, wall_time).bytes(kFileVersion, "brain.Event:2").text();
}

std::string start_event(double wall_time, std::int64_t step) {
  const Message log = Message().integer(kStatus, kStatusStart);
  return Message()
      .real(kWallTime, wall_time)
      .integer(kStep, step)
      .bytes(kSessionLog, log.text())
      .text();
}

std::string scalars_event(double wall_time, std::int64_t step, std::span<const Scalar> scalars) {
  Message summary;
  for (const auto& scalar : scalars) {
    const Message value =
        Message().bytes(kTag, scalar.tag).real(kSimpleValue, narrowed(scalar.value));
    summary.bytes(kSummaryValue, value.text());
  }
  return Message()
      .real(kWallTime, wall_time)
      .integer(kStep, step)
      .bytes(kSummary, summary.text())
      .text();
}

}  // namespace distill::metrics::detail
