#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

/// Messages between two processes, some of them with much data: over shared memory on one machine,
/// over c10d between machines. What another process sends is checked; nothing is allocated for it
/// beyond the limits that were set.
namespace distill::dist {

/// The data of a message, made by the end that sends it.
class Bulk {
 public:
  explicit Bulk(at::Tensor bytes) : bytes_(std::move(bytes)) {}
  virtual ~Bulk() = default;
  Bulk(const Bulk&) = delete;
  Bulk& operator=(const Bulk&) = delete;
  /// uint8 [bytes] on the CPU, to be filled before it is sent; those of a constant are read-only.
  const at::Tensor& bytes() const { return bytes_; }

 private:
  at::Tensor bytes_;
};

struct Message {
  std::uint32_t kind = 0;
  std::vector<std::byte> body;
  /// uint8 [bytes] on the CPU, not to be written to; undefined: none. Where memory is shared it is
  /// the sender's own, which uses it again when the last copy of this tensor is gone.
  at::Tensor bulk;
};

/// The most bytes that a message may have; more is an error.
struct ChannelLimits {
  std::uint64_t body = 0;
  std::uint64_t bulk = 0;
};

/// Seconds between signs of life, for those who must wait longer than that.
inline constexpr double kBeatSeconds = 2;

/// How two ends know of each other. Both give signs of life as long as they have the channel, by
/// themselves: also while nobody receives, or before anybody has asked for anything.
struct Pulse {
  double beat_seconds = kBeatSeconds;  ///< at most between two things that this end sends
  /// Of silence until the other end counts as gone: over c10d at any time, since a machine may
  /// vanish; in shared memory in the middle of a message.
  double gone_seconds = 120;
};

/// One end of a connection. One thread receives; any may send. All throw DistributedError naming
/// the other end when that is gone, silent in the middle of a message, or sends what is none.
class Channel {
 public:
  virtual ~Channel() = default;
  /// Memory for data that will be sent, free again when the other end has let go of it.
  virtual std::shared_ptr<Bulk> make_bulk(std::uint64_t bytes) = 0;
  /// `bulk`: of this channel's `make_bulk`, sent once, or a constant of its listener. Does not wait
  /// for the other end; what is sent last goes out within two seconds of the channel's end. The
  /// channel has failed when too much waits for an end that takes nothing.
  virtual void send(std::uint32_t kind, std::span<const std::byte> body,
                    const std::shared_ptr<Bulk>& bulk = nullptr) = 0;
  /// Begins the two seconds that what was sent last has, for one who ends several channels at a
  /// time; nothing is sent after it.
  virtual void farewell() = 0;
  /// The next message; nothing when none is there, whole, after `seconds`. Messages that came
  /// before the end of the connection are given before that is told.
  virtual std::optional<Message> receive(double seconds) = 0;
  /// To be set before the first message is received; a body of 0 bytes at most allows none.
  virtual void set_limits(const ChannelLimits& limits) = 0;
  /// Seconds since the last message or sign of life; 0 while a message is on its way.
  virtual double silence() const = 0;
  /// True: data lies in memory that both ends have, and is not copied.
  virtual bool shares_memory() const = 0;
};

/// Where others connect to.
class Listener {
 public:
  virtual ~Listener() = default;
  /// The next who connects; null when nobody does in `seconds`. Throws DistributedError for one who
  /// fails to, IoError where the system refuses.
  virtual std::unique_ptr<Channel> accept(double seconds) = 0;
  /// Data that never changes, for any number of channels. Where memory is shared it is one copy
  /// for all processes, and sealed. `bytes`: uint8, contiguous, on the CPU.
  virtual std::shared_ptr<Bulk> make_constant(const at::Tensor& bytes) = 0;
  /// `shared memory `NAME``, `HOST:PORT`; the port that was chosen where 0 was asked for.
  virtual std::string describe() const = 0;
};

struct ConnectOptions {
  double timeout_seconds = 60;           ///< until somebody listens
  std::function<bool()> cancelled = {};  ///< asked often while waiting; may be empty
  Pulse pulse = {};
};

/// Takes who connects in a thread of its own, so that they have signs of life before anybody has
/// time for them. Trouble is told once, as a DistributedError of `accept`, and tried again.
std::unique_ptr<Listener> accept_in_background(std::unique_ptr<Listener> listener);

/// Names are 1 to 64 letters, digits, `-`, `_` and `.`; they are the user's own on this machine,
/// and other users' processes are refused. Nothing is left behind, however a process ends. Throws
/// InputError for another name and for one that is taken, Interrupted when cancelled,
/// DistributedError when nobody listens in time.
void check_shared_name(const std::string& name);
std::unique_ptr<Listener> listen_shared(const std::string& name, const Pulse& pulse = {});
std::unique_ptr<Channel> connect_shared(const std::string& name, const ConnectOptions& options);

/// `HOST:PORT` or `[IPV6]:PORT`. c10d knows no passwords and no encryption: only for networks whose
/// machines are trusted. Who listens at all addresses of a machine (0.0.0.0, [::]) meets each
/// student at the one that this came to. Throws as above, and UnsupportedError in a build without
/// c10d.
void check_address(const std::string& address);
std::unique_ptr<Listener> listen_c10d(const std::string& address, const Pulse& pulse = {});
std::unique_ptr<Channel> connect_c10d(const std::string& address, const ConnectOptions& options);
/// False: the build lacks gloo's headers.
bool has_c10d();

}  // namespace distill::dist
