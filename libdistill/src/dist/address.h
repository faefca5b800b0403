#pragma once

#include <cstdint>
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
/// Whether somebody listens there.
bool can_connect(const Address& address);
/// This machine's own address on the way there.
std::string own_host(const Address& address);

}  // namespace distill::dist::detail
