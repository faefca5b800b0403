#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/error.h>

namespace distill::io {

/// How a request can fail without an answer.
enum class HttpFailure {
  kUnresolved,  ///< no such host
  kRefused,     ///< nobody listens there, or it cannot be reached
  kTimeout,
  kBroken,     ///< reset, or half an answer
  kTls,        ///< no TLS, or a certificate that is not trusted
  kTooLarge,   ///< more than HttpOptions::max_body_bytes
  kNotHttp,    ///< the answer is no HTTP
  kCancelled,  ///< HttpOptions::cancelled said so
};

/// A request that got no answer. The message begins with the URL.
class HttpError : public Error {
 public:
  HttpError(HttpFailure failure, const std::string& message) : Error(message), failure_(failure) {}
  HttpFailure failure() const { return failure_; }

 private:
  HttpFailure failure_;
};

struct HttpHeader {
  std::string name;
  std::string value;  ///< may be secret: it is in no message
};

struct HttpRequest {
  std::string url;
  bool post = false;  ///< POST with `body`, else GET
  std::vector<HttpHeader> headers = {};
  std::string body = {};
  /// Of the answer; nothing: HttpOptions::max_body_bytes.
  std::optional<std::uint64_t> max_body_bytes = {};
};

struct HttpOptions {
  double connect_seconds = 10;
  double total_seconds = 600;  ///< from the first byte sent to the last one read
  std::uint64_t max_body_bytes = std::uint64_t{64} << 20;
  /// Asked about once a second, in the thread that sends.
  std::function<bool()> cancelled = {};
};

/// Any answer, whatever its status.
struct HttpResponse {
  int status = 0;
  std::string retry_after = {};  ///< headers as they came; empty: not there
  std::string location = {};
  std::string body = {};
};

/// Sends one request at a time and keeps the connection for the next one. TLS certificates are
/// checked; redirects are not followed, so that no header goes where it was not meant for; nothing
/// is taken from the environment (proxies, .netrc). One thread at a time.
///
///     HttpConnection connection;
///     const auto answer = connection.send({.url = "http://127.0.0.1:8000/v1/models"});
class HttpConnection {
 public:
  explicit HttpConnection(HttpOptions options = {});
  ~HttpConnection();
  HttpConnection(HttpConnection&&) noexcept;
  HttpConnection& operator=(HttpConnection&&) noexcept;

  /// Throws HttpError; InputError for a URL that check_http_url refuses or a header with control
  /// characters.
  HttpResponse send(const HttpRequest& request);
  /// How many connections were opened so far: another one may lead to another server.
  std::int64_t num_opened() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Throws InputError for anything but http://HOST... and https://HOST... of printable ASCII,
/// without user name, password, query and fragment: a URL is shown in messages and files.
void check_http_url(const std::string& url);

/// Whether what is sent there stays on this machine: the host is `localhost`, an address from
/// 127.0.0.0 to 127.255.255.255, or [::1]. Of a URL that check_http_url takes.
bool is_loopback_url(const std::string& url);

}  // namespace distill::io
