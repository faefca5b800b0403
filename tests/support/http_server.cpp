#include "support/http_server.h"

#include <algorithm>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace distill::testing {

namespace {

struct Listener {
  int socket = -1;
  int port = 0;
};

Listener open_listener() {
  Listener listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.socket, any, size) != 0 || ::listen(listener.socket, 64) != 0 ||
      ::getsockname(listener.socket, any, &size) != 0) {
    throw std::runtime_error("no port to listen on");
  }
  listener.port = ntohs(address.sin_port);
  return listener;
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

/// Takes one line with its end off the front.
std::string take_line(std::string& text) {
  const auto end = text.find("\r\n");
  std::string line = text.substr(0, end);
  text.erase(0, end + 2);
  return line;
}

/// Reads until `wanted` says that there is enough; false at the end of the connection.
bool read_until(int socket, std::string& text, const std::function<bool()>& wanted) {
  while (!wanted()) {
    char piece[4096];
    const ssize_t count = ::recv(socket, piece, sizeof piece, 0);
    if (count <= 0) return false;
    text.append(piece, static_cast<std::size_t>(count));
  }
  return true;
}

/// The next request of a connection; `text` holds what was read of those behind it.
bool read_call(int socket, std::string& text, HttpCall& call) {
  std::size_t head_end = 0;
  if (!read_until(socket, text,
                  [&] {
                    head_end = text.find("\r\n\r\n");
                    return head_end != std::string::npos || text.starts_with('\x16');
                  }) ||
      text.starts_with('\x16')) {  // the beginning of TLS, which is not spoken here
    ::shutdown(socket, SHUT_RDWR);
    return false;
  }
  std::string head = text.substr(0, head_end + 2);
  text.erase(0, head_end + 4);
  const std::string first = take_line(head);
  call.method = first.substr(0, first.find(' '));
  call.path = first.substr(call.method.size() + 1);
  call.path = call.path.substr(0, call.path.find(' '));
  while (!head.empty()) {
    const std::string line = take_line(head);
    const auto colon = line.find(": ");
    call.headers[lower(line.substr(0, colon))] = line.substr(colon + 2);
  }
  const auto length = call.headers.find("content-length");
  const std::size_t size = length == call.headers.end() ? 0 : std::stoul(length->second);
  if (!read_until(socket, text, [&] { return text.size() >= size; })) return false;
  call.body = text.substr(0, size);
  text.erase(0, size);
  return true;
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  const Listener listener = open_listener();
  listener_ = listener.socket;
  port_ = listener.port;
  accepting_ = std::thread([this] { listen_on(); });
}

HttpServer::~HttpServer() {
  ending_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  close_all();
  for (auto& thread : threads_) thread.join();
  for (const int socket : sockets_) ::close(socket);
  ::close(listener_);
}

std::string HttpServer::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::vector<HttpCall> HttpServer::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

void HttpServer::close_all() {
  const std::lock_guard lock(mutex_);
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
}

void HttpServer::listen_on() {
  while (true) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    const std::lock_guard lock(mutex_);
    const int connection = static_cast<int>(sockets_.size());
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket, connection] { serve(socket, connection); });
  }
}

void HttpServer::serve(int socket, int connection) {
  std::string text;
  while (true) {
    HttpCall call;
    if (!read_call(socket, text, call)) return;
    call.connection = connection;
    {
      const std::lock_guard lock(mutex_);
      call.number = static_cast<int>(calls_.size());
      calls_.push_back(call);
    }
    const int now = ++at_once_;
    for (int most = most_at_once_; most < now;) most_at_once_.compare_exchange_weak(most, now);
    const HttpReply reply = handler_(call);
    answer(socket, reply);
    if (reply.then == HttpReply::Then::kKeepOpen) continue;
    if (reply.then == HttpReply::Then::kReset) {
      const linger at_once{1, 0};
      ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      // The descriptor stays ours: another socket takes its place, so that the reset goes
      // out now and the number is not used again before the end.
      const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ::dup2(other, socket);
      ::close(other);
    } else if (reply.then == HttpReply::Then::kClose) {
      ::shutdown(socket, SHUT_RDWR);
    } else {
      char ignored;
      while (::recv(socket, &ignored, 1, 0) > 0) {
      }
    }
    return;
  }
}

void HttpServer::answer(int socket, const HttpReply& reply) {
  const auto sleep = [&](std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (!ending_ && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(
          std::min<std::chrono::milliseconds>(time, std::chrono::milliseconds(5)));
    }
  };
  sleep(reply.delay);
  --at_once_;  // before its last byte: with that the client may ask again
  const std::size_t piece = reply.piece == 0 ? reply.bytes.size() : reply.piece;
  for (std::size_t at = 0; at < reply.bytes.size(); at += piece) {
    if (at > 0) sleep(reply.pause);
    if (!send_all(socket, std::string_view(reply.bytes).substr(at, piece))) return;
  }
  while (!reply.repeated.empty() && !ending_ && send_all(socket, reply.repeated)) {
  }
}

int unused_port() {
  const Listener listener = open_listener();
  ::close(listener.socket);
  return listener.port;
}

}  // namespace distill::testing
