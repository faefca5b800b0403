#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace distill::testing {

/// One request as it came.
struct HttpCall {
  std::string method;
  std::string path;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
  int connection = 0;  ///< from 0, in the order they were opened
  int number = 0;      ///< from 0, over all connections
};

/// What is sent back, byte by byte if need be.
struct HttpReply {
  enum class Then { kKeepOpen, kClose, kReset, kSilence };

  std::string bytes = {};              ///< head and body, exactly
  std::chrono::milliseconds delay{0};  ///< before the first byte
  std::size_t piece = 0;               ///< bytes sent at once; 0: all
  std::chrono::milliseconds pause{0};  ///< between pieces
  std::string repeated = {};           ///< sent after `bytes` until the client has enough
  Then then = Then::kKeepOpen;
};

/// A whole answer with its length.
inline HttpReply reply(int status, const std::string& body, const std::string& headers = "") {
  return {.bytes = "HTTP/1.1 " + std::to_string(status) + " Some Words\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body};
}

/// Listens on a port of the loopback interface that nobody else has; each connection has a thread,
/// which asks `handler`, one call at a time.
class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpCall&)>;

  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& path = "") const;
  std::vector<HttpCall> calls() const;
  /// Most requests that were being answered at one time.
  int most_at_once() const { return most_at_once_; }

 private:
  void listen_on();
  void serve(int socket, int connection);
  void answer(int socket, const HttpReply& reply);
  void close_all();

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<HttpCall> calls_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread accepting_;
  std::atomic<bool> ending_{false};
  std::atomic<int> at_once_{0};
  std::atomic<int> most_at_once_{0};
};

/// A port of the loopback interface where nobody listens.
int unused_port();

}  // namespace distill::testing
