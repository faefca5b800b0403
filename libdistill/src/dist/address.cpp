#include "dist/address.h"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <distill/core/error.h>
#include <distill/dist/channel.h>

namespace distill::dist {

namespace detail {

namespace {

using AddressList = std::unique_ptr<struct addrinfo, decltype(&::freeaddrinfo)>;

/// What a name stands for. Throws InputError when it stands for nothing.
AddressList resolve(const Address& address, int type, int flags) {
  struct addrinfo hints {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = type;
  hints.ai_flags = flags | AI_NUMERICSERV;
  struct addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) {
    fail<InputError>(shown(address), ": is no address (", ::gai_strerror(error), ")");
  }
  return {found, &::freeaddrinfo};
}

std::uint16_t port_of(const Descriptor& socket) {
  struct sockaddr_storage own {};
  socklen_t size = sizeof(own);
  char port[8] = {};
  if (::getsockname(socket.get(), reinterpret_cast<struct sockaddr*>(&own), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<struct sockaddr*>(&own), size, nullptr, 0, port, sizeof(port),
                    NI_NUMERICSERV) != 0) {
    return 0;
  }
  return static_cast<std::uint16_t>(std::atoi(port));
}

Descriptor socket_for(const struct addrinfo& one) {
  return Descriptor(::socket(one.ai_family, one.ai_socktype | SOCK_CLOEXEC, one.ai_protocol));
}

}  // namespace

Address parse_address(const std::string& text) {
  const auto colon = text.rfind(':');
  Address address;
  bool good = colon != std::string::npos && colon > 0;
  if (good) {
    address.host = text.substr(0, colon);
    const bool bracketed = address.host.starts_with('[') && address.host.ends_with(']');
    if (bracketed) address.host = address.host.substr(1, address.host.size() - 2);
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + colon + 1, end, address.port);
    good = read.ec == std::errc() && read.ptr == end && !address.host.empty() &&
           (bracketed || address.host.find(':') == std::string::npos);
  }
  if (!good || address.host.size() > 255) {
    fail<InputError>("expected an address HOST:PORT, such as 127.0.0.1:29500, it is `",
                     core::printable(text), "`");
  }
  return address;
}

std::string shown(const Address& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return core::concat(is_v6 ? "[" : "", core::printable(address.host), is_v6 ? "]:" : ":",
                      address.port);
}

Descriptor listen_at(Address& address) {
  const auto all = resolve(address, SOCK_STREAM, AI_PASSIVE);
  Descriptor socket = socket_for(*all);
  const int on = 1;
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(socket.get(), all->ai_addr, all->ai_addrlen) != 0 || ::listen(socket.get(), 64) != 0) {
    fail<InputError>(shown(address), ": could not listen there: ", std::strerror(errno));
  }
  address.port = port_of(socket);
  return socket;
}

bool can_connect(const Address& address) {
  const auto all = resolve(address, SOCK_STREAM, 0);
  for (const auto* one = all.get(); one != nullptr; one = one->ai_next) {
    const Descriptor socket = socket_for(*one);
    const struct timeval patience {
      2, 0
    };
    if (!socket) continue;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (::connect(socket.get(), one->ai_addr, one->ai_addrlen) == 0) return true;
  }
  return false;
}

std::string own_host(const Address& address) {
  const auto all = resolve(address, SOCK_DGRAM, 0);
  const Descriptor socket = socket_for(*all);
  struct sockaddr_storage own {};
  socklen_t size = sizeof(own);
  char host[NI_MAXHOST] = {};
  // Nothing is sent: a datagram socket only looks up its way.
  if (!socket || ::connect(socket.get(), all->ai_addr, all->ai_addrlen) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<struct sockaddr*>(&own), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<struct sockaddr*>(&own), size, host, sizeof(host), nullptr, 0,
                    NI_NUMERICHOST) != 0) {
    fail<DistributedError>(shown(address), ": no way there: ", std::strerror(errno));
  }
  return host;
}

}  // namespace detail

void check_address(const std::string& address) {
  detail::parse_address(address);
}

}  // namespace distill::dist
