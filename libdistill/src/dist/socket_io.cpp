#include "dist/socket_io.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

#include <distill/core/error.h>

namespace distill::dist::detail {

namespace {

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

/// The files of a message. All are taken: what stays behind would be open for ever.
std::vector<Descriptor> files_of(struct msghdr& message) {
  std::vector<Descriptor> files;
  for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t bytes = header->cmsg_len - CMSG_LEN(0);
    for (std::size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
      int file = -1;
      std::memcpy(&file, CMSG_DATA(header) + at, sizeof(file));
      files.emplace_back(file);
    }
  }
  return files;
}

}  // namespace

Deadline deadline_in(double seconds) {
  const std::chrono::duration<double> bounded(std::clamp(seconds, 0.0, 1e7));
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(bounded);
}

bool wait_for(const Descriptor& file, short events, const std::optional<Deadline>& deadline) {
  struct pollfd one {
    file.get(), events, 0
  };
  while (true) {
    int milliseconds = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
          *deadline - std::chrono::steady_clock::now());
      milliseconds = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
    }
    const int ready = ::poll(&one, 1, milliseconds);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) fail<IoError>("could not wait: ", std::strerror(errno));
    if (ready == 0 && milliseconds < 1 << 30) return false;
  }
}

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
      wait_for(socket_, POLLOUT, std::nullopt);
    } else if (errno != EINTR) {
      fail<DistributedError>(who_, ": is gone (", std::strerror(errno), ")");
    }
  }
}

void LocalSocket::wait() const {
  wait_for(socket_, POLLIN, std::nullopt);
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
  auto brought = files_of(message);
  if (!brought.empty()) {
    if (file == nullptr || *file || brought.size() > 1) {
      fail<DistributedError>(who_, ": sent a file unasked");
    }
    *file = std::move(brought.front());
  }
  if (got == 0) fail<DistributedError>(who_, ": has ended");
  return static_cast<std::size_t>(got);
}

void LocalSocket::receive(std::span<std::byte> bytes, Deadline deadline, Descriptor* file) {
  const std::size_t whole = bytes.size();
  while (!bytes.empty()) {
    if (!wait_for(socket_, POLLIN, deadline)) {
      fail<DistributedError>(who_, ": is silent after ", whole - bytes.size(), " of ", whole,
                             " bytes");
    }
    bytes = bytes.subspan(receive_some(bytes, file));
  }
}

void LocalSocket::shut_down() noexcept {
  ::shutdown(socket_.get(), SHUT_RDWR);
}

}  // namespace distill::dist::detail
