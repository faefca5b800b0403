#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

#include <distill/core/strings.h>
#include <distill/io/http.h>

namespace distill::io {

namespace {

constexpr std::size_t kLongestUrl = 2000;

/// Behind `http://`; empty for anything else.
std::string_view after_scheme(std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (url.starts_with(scheme)) return url.substr(scheme.size());
  }
  return {};
}

/// HOST, HOST:PORT or [ADDRESS]:PORT.
bool is_host_and_port(std::string_view text) {
  const std::size_t behind = text.starts_with('[') ? text.find(']') : 0;
  if (behind == std::string_view::npos) return false;
  const std::size_t colon = text.find(':', behind);
  if (text.substr(0, colon).empty()) return false;
  if (colon == std::string_view::npos) return true;
  const std::string_view port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5) return false;
  int number = 0;
  for (const char c : port) {
    if (c < '0' || c > '9') return false;
    number = 10 * number + (c - '0');
  }
  return number > 0 && number < 65536;
}

/// `127.0.0.1` and all others that begin with 127, as four numbers.
bool is_loopback_address(std::string_view host) {
  int numbers = 0;
  for (std::size_t begin = 0; begin <= host.size(); ++numbers) {
    const std::size_t end = std::min(host.find('.', begin), host.size());
    int value = -1;
    const auto [rest, code] = std::from_chars(host.data() + begin, host.data() + end, value);
    if (code != std::errc() || rest != host.data() + end || value < 0 || value > 255) return false;
    if (numbers == 0 && value != 127) return false;
    begin = end + 1;
  }
  return numbers == 4;
}

bool is_localhost(std::string_view host) {
  return std::ranges::equal(host, std::string_view("localhost"), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b;
  });
}

}  // namespace

bool is_loopback_url(const std::string& url) {
  std::string_view host = after_scheme(url);
  host = host.substr(0, host.find('/'));
  const std::size_t behind = host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0;
  host = host.substr(0, host.find(':', behind));
  return is_localhost(host) || is_loopback_address(host) || host == "[::1]";
}

void check_http_url(const std::string& url) {
  const std::string_view rest = after_scheme(url);
  const std::string_view host = rest.substr(0, rest.find('/'));
  // Not shown where it may hold a password.
  if (host.find('@') != std::string_view::npos || url.find_first_of("?#") != std::string::npos) {
    fail<InputError>(
        "a URL holds a user name, a password, a query or a fragment, expected http://HOST:PORT/PATH"
        " alone; a key is given by the name of an environment variable");
  }
  const bool plain = std::ranges::all_of(url, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || url.size() > kLongestUrl || !is_host_and_port(host)) {
    fail<InputError>("`", core::printable(url, 200),
                     "` is no URL, expected http://HOST:PORT/PATH or https://HOST/PATH");
  }
}

}  // namespace distill::io
