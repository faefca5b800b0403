#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "dist/descriptor.h"

namespace distill::dist::detail {

struct Address {
  std::string host;  ///< without brackets
  std::uint16_t port = 0;
};

/// `HOST:PORT` or `[IPV6]:PORT`. Throws InputError for anything else.
Address parse_address(const std::string& text);
std::string shown(const Address& address);

/// A socket that listens there; a port of 0 becomes the one that was chosen. Throws InputError
/// where that is not possible.
Descriptor listen_at(Address& address);
/// All addresses of this machine at once: 0.0.0.0 and the like.
bool is_wildcard(const Address& address);
/// Written in digits, so that it names nothing but itself.
bool is_numeric_host(const std::string& host);

/// The two machines as one of them sees them, in digits.
struct Way {
  std::string own;
  std::string other;
};
/// The way to somebody who listens there; nothing when nobody does, or `cancelled` (may be empty)
/// says so. Takes 2 s at most for each address of the name.
std::optional<Way> find_way(const Address& address, const std::function<bool()>& cancelled);

}  // namespace distill::dist::detail
