#include "dist/socket_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>

#include <distill/core/error.h>

namespace distill::dist::detail {

namespace {

/// A message that has begun should come, and go, whole.
constexpr int kStallSeconds = 60;

bool poll_for(int socket, short events, int milliseconds) {
  struct pollfd one {
    socket, events, 0
  };
  return ::poll(&one, 1, milliseconds) > 0;
}

/// Room for the one file that a message may bring.
struct FileSlot {
  alignas(struct cmsghdr) std::byte room[CMSG_SPACE(sizeof(int))]{};
};

void attach(struct msghdr& message, FileSlot& slot, int file) {
  message.msg_control = slot.room;
  message.msg_controllen = sizeof(slot.room);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &file, sizeof(file));
}

/// The file of a message; none: an empty one.
Descriptor file_of(struct msghdr& message) {
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return {};
  }
  int file = -1;
  std::memcpy(&file, CMSG_DATA(header), sizeof(file));
  return Descriptor(file);
}

}  // namespace

void LocalSocket::send(std::span<const std::byte> bytes, int file) {
  while (!bytes.empty()) {
    struct iovec part {
      const_cast<std::byte*>(bytes.data()), bytes.size()
    };
    struct msghdr message {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    FileSlot slot;
    if (file >= 0) attach(message, slot, file);
    const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
      file = -1;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!poll_for(socket_.get(), POLLOUT, kStallSeconds * 1000)) {
        fail<DistributedError>(who_, ": takes no message for ", kStallSeconds, " s");
      }
    } else if (errno != EINTR) {
      fail<DistributedError>(who_, ": is gone (", std::strerror(errno), ")");
    }
  }
}

bool LocalSocket::wait(double seconds) const {
  const double most = std::clamp(seconds, 0.0, 3600.0);
  return poll_for(socket_.get(), POLLIN, static_cast<int>(most * 1000));
}

std::size_t LocalSocket::receive_some(std::span<std::byte> bytes, Descriptor* file) {
  struct iovec part {
    bytes.data(), bytes.size()
  };
  struct msghdr message {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  FileSlot slot;
  message.msg_control = slot.room;
  message.msg_controllen = sizeof(slot.room);
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) {
    if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    fail<DistributedError>(who_, ": is gone (", std::strerror(errno), ")");
  }
  Descriptor brought = file_of(message);
  if (brought) {
    if (file == nullptr || *file) fail<DistributedError>(who_, ": sent a file unasked");
    *file = std::move(brought);
  }
  if (got == 0) fail<DistributedError>(who_, ": has ended");
  return static_cast<std::size_t>(got);
}

void LocalSocket::receive(std::span<std::byte> bytes, Descriptor* file) {
  const std::size_t whole = bytes.size();
  while (!bytes.empty()) {
    if (!poll_for(socket_.get(), POLLIN, kStallSeconds * 1000)) {
      fail<DistributedError>(who_, ": is silent for ", kStallSeconds, " s after ",
                             whole - bytes.size(), " of ", whole, " bytes");
    }
    bytes = bytes.subspan(receive_some(bytes, file));
  }
}

}  // namespace distill::dist::detail
