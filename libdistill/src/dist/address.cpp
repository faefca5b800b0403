#include "dist/address.h"

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <distill/core/error.h>
#include <distill/dist/channel.h>

#include "dist/socket_io.h"

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

Descriptor socket_for(const struct addrinfo& one, int flags = 0) {
  return Descriptor(
      ::socket(one.ai_family, one.ai_socktype | SOCK_CLOEXEC | flags, one.ai_protocol));
}

/// In digits; `name_of`: getsockname or getpeername.
template <class NameOf>
std::string host_of(const Descriptor& socket, NameOf name_of) {
  struct sockaddr_storage name {};
  socklen_t size = sizeof(name);
  char host[NI_MAXHOST] = {};
  if (name_of(socket.get(), reinterpret_cast<struct sockaddr*>(&name), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<struct sockaddr*>(&name), size, host, sizeof(host), nullptr, 0,
                    NI_NUMERICHOST) != 0) {
    fail<DistributedError>("no way to the teacher's machine: ", std::strerror(errno));
  }
  return host;
}

/// Of one attempt to connect: a machine that is off says nothing.
constexpr double kPatience = 2;
constexpr double kLook = 0.1;  ///< seconds between two looks whether it is cancelled

bool connects(const Descriptor& socket, const struct addrinfo& one,
              const std::function<bool()>& cancelled) {
  if (::connect(socket.get(), one.ai_addr, one.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS) return false;
  const Deadline end = deadline_in(kPatience);
  while (!wait_for(socket, POLLOUT, deadline_in(kLook))) {
    if (std::chrono::steady_clock::now() >= end || (cancelled && cancelled())) return false;
  }
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
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
    if (errno == EADDRINUSE) {
      fail<InputError>(shown(address), ": another program listens there; choose another port");
    }
    fail<InputError>(shown(address), ": could not listen there: ", std::strerror(errno));
  }
  address.port = port_of(socket);
  return socket;
}

bool is_wildcard(const Address& address) {
  const auto all = resolve(address, SOCK_STREAM, 0);
  if (all->ai_family == AF_INET) {
    const auto* own = reinterpret_cast<const struct sockaddr_in*>(all->ai_addr);
    return own->sin_addr.s_addr == htonl(INADDR_ANY);
  }
  if (all->ai_family != AF_INET6) return false;
  const auto* own = reinterpret_cast<const struct sockaddr_in6*>(all->ai_addr);
  return IN6_IS_ADDR_UNSPECIFIED(&own->sin6_addr);
}

bool is_numeric_host(const std::string& host) {
  struct in6_addr room {};
  return ::inet_pton(AF_INET, host.c_str(), &room) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &room) == 1;
}

std::optional<Way> find_way(const Address& address, const std::function<bool()>& cancelled) {
  const auto all = resolve(address, SOCK_STREAM, 0);
  for (const auto* one = all.get(); one != nullptr; one = one->ai_next) {
    const Descriptor socket = socket_for(*one, SOCK_NONBLOCK);
    if (socket && connects(socket, *one, cancelled)) {
      return Way{host_of(socket, ::getsockname), host_of(socket, ::getpeername)};
    }
    if (cancelled && cancelled()) break;
  }
  return std::nullopt;
}

}  // namespace detail

void check_address(const std::string& address) {
  detail::parse_address(address);
}

}  // namespace distill::dist
