#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <distill/core/interrupted.h>

#include "dist/shared_channel.h"
#include "dist/socket_io.h"

namespace distill::dist {

namespace {

using detail::Descriptor;

struct Address {
  struct sockaddr_un value {};
  socklen_t size = 0;
  const struct sockaddr* get() const { return reinterpret_cast<const struct sockaddr*>(&value); }
};

/// Without a file: nothing is left behind. The user is part of it, so that two users may choose one
/// name.
Address address_of(const std::string& name) {
  const std::string path = core::concat("distill-teacher-", ::getuid(), "-", name);
  Address address;
  address.value.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.value.sun_path + 1);  // after a 0: not in a folder
  address.size = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + 1 + path.size());
  return address;
}

std::string shown(const std::string& name) {
  return core::concat("shared memory `", name, "`");
}

Descriptor make_socket() {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) fail<IoError>("could not make a socket: ", std::strerror(errno));
  return socket;
}

/// Names without a file can be taken by anybody.
bool is_own_user(const Descriptor& socket) {
  struct ucred peer {};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == ::getuid();
}

class SharedListener final : public Listener {
 public:
  SharedListener(const std::string& name, const Pulse& pulse)
      : name_(name), pulse_(pulse), socket_(make_socket()) {
    const Address address = address_of(name);
    if (::bind(socket_.get(), address.get(), address.size) != 0) {
      if (errno == EADDRINUSE) {
        fail<InputError>(shown(name), ": another teacher has this name; choose another one");
      }
      fail<IoError>(shown(name), ": could not be taken: ", std::strerror(errno));
    }
    if (::listen(socket_.get(), 64) != 0) fail<IoError>(shown(name), ": ", std::strerror(errno));
  }

  std::unique_ptr<Channel> accept(double seconds) override {
    if (!detail::wait_for(socket_, POLLIN, detail::deadline_in(seconds))) return nullptr;
    Descriptor socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return nullptr;  // gone again
      fail<IoError>(describe(), ": could not take a student: ", std::strerror(errno));
    }
    if (!is_own_user(socket)) {
      fail<DistributedError>(describe(), ": a process of another user wanted to connect");
    }
    return std::make_unique<detail::SharedChannel>(std::move(socket), describe(), pulse_);
  }

  std::shared_ptr<Bulk> make_constant(const at::Tensor& bytes) override {
    const auto size = static_cast<std::uint64_t>(bytes.numel());
    const std::span content(static_cast<const std::byte*>(bytes.const_data_ptr()), size);
    return std::make_shared<detail::SharedBulk>(detail::SharedBlock::constant(content), size,
                                                detail::SharedBulk::kConstant);
  }

  std::string describe() const override { return shown(name_); }

 private:
  std::string name_;
  Pulse pulse_;
  Descriptor socket_;
};

[[noreturn]] void refuse(const std::string& name, bool is_full, double seconds) {
  if (is_full) {
    fail<DistributedError>(shown(name), ": the teacher there takes no more students after ",
                           core::human_seconds(seconds), "; too many wait for it");
  }
  fail<DistributedError>(shown(name), ": no teacher there after ", core::human_seconds(seconds),
                         "; start `distill teacher --shared ", name, "` on this machine");
}

/// False: not now. A queue that is full does not let a socket wait that must not block.
bool connects(const Descriptor& socket, const Address& address) {
  return ::connect(socket.get(), address.get(), address.size) == 0;
}

}  // namespace

void check_shared_name(const std::string& name) {
  const auto is_good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!name.empty() && name.size() <= 64 && std::ranges::all_of(name, is_good)) return;
  fail<InputError>(
      "the name of shared memory must be 1 to 64 letters, digits, `-`, `_` and `.`, it "
      "is `",
      core::printable(name), "`");
}

std::unique_ptr<Listener> listen_shared(const std::string& name, const Pulse& pulse) {
  check_shared_name(name);
  return std::make_unique<SharedListener>(name, pulse);
}

std::unique_ptr<Channel> connect_shared(const std::string& name, const ConnectOptions& options) {
  check_shared_name(name);
  const auto end = detail::deadline_in(options.timeout_seconds);
  const Address address = address_of(name);
  while (true) {
    Descriptor socket = make_socket();
    if (connects(socket, address)) {
      if (!is_own_user(socket)) {
        fail<DistributedError>(shown(name), ": belongs to a process of another user");
      }
      return std::make_unique<detail::SharedChannel>(std::move(socket), shown(name), options.pulse);
    }
    const bool is_full = errno == EAGAIN;
    if (options.cancelled && options.cancelled()) {
      fail<Interrupted>(shown(name), ": stopped while waiting for a teacher there");
    }
    if (std::chrono::steady_clock::now() >= end) refuse(name, is_full, options.timeout_seconds);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace distill::dist
