#include <distill/core/error.h>
#include <distill/dist/channel.h>

namespace distill::dist {

namespace {

[[noreturn]] void refuse(const std::string& address) {
  check_address(address);
  fail<UnsupportedError>(core::printable(address),
                         ": this build has no c10d; install gloo's headers (Debian: libgloo-dev) "
                         "and build again, or use shared memory");
}

}  // namespace

std::unique_ptr<Listener> listen_c10d(const std::string& address, const Pulse&) {
  refuse(address);
}

std::unique_ptr<Channel> connect_c10d(const std::string& address, const ConnectOptions&) {
  refuse(address);
}

bool has_c10d() {
  return false;
}

}  // namespace distill::dist
