#pragma once

#include <cstdint>
#include <string>

#include <distill/core/error.h>
#include <distill/dist/channel.h>

namespace distill::dist::detail {

/// Before each message. Part of the protocol (docs/formats/teacher_process.md), do not change.
struct Frame {
  std::uint32_t magic = kMagic;
  std::uint32_t kind = 0;
  std::uint64_t body = 0;     ///< bytes that follow
  std::uint64_t bulk = 0;     ///< bytes of data
  std::uint32_t segment = 0;  ///< of shared memory, where the data lies
  std::uint32_t flags = 0;

  static constexpr std::uint32_t kMagic = 0x48435444;  ///< `DTCH`
  // Flags.
  static constexpr std::uint32_t kWithDescriptor = 1;  ///< the segment comes with this message
  static constexpr std::uint32_t kConstant = 2;        ///< it is sealed, and of this message alone
  // Kinds of the channel itself, without body and data.
  static constexpr std::uint32_t kBeat = 0xfffffffe;  ///< a sign of life
  static constexpr std::uint32_t kRelease =
      0xffffffff;  ///< `segment`'s data is not needed any more

  bool is_of_channel() const { return kind >= kBeat; }
};
static_assert(sizeof(Frame) == 32);

/// Throws DistributedError for what is no message, or one beyond the limits.
inline void check_frame(const Frame& frame, const ChannelLimits& limits, const std::string& who) {
  if (frame.magic != Frame::kMagic) {
    fail<DistributedError>(who,
                           ": sent what is no message of distill, or of a machine with another "
                           "byte order");
  }
  if (frame.body > limits.body || frame.bulk > limits.bulk) {
    fail<DistributedError>(who, ": a message of ", frame.body, " bytes with ", frame.bulk,
                           " of data, expected at most ", limits.body, " and ", limits.bulk);
  }
  if (frame.flags > (Frame::kWithDescriptor | Frame::kConstant)) {
    fail<DistributedError>(who, ": a message with unknown flags ", frame.flags);
  }
}

}  // namespace distill::dist::detail
