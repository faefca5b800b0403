#include <distill/io/http.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <signal.h>

#include <gtest/gtest.h>

#include "support/http_server.h"
#include "support/temp_folder.h"

namespace distill::io {
namespace {

using testing::HttpCall;
using testing::HttpReply;
using testing::HttpServer;
using testing::message_of;
using testing::reply;
using namespace std::chrono_literals;

/// The failure and its message; fails the test where there is an answer.
std::pair<HttpFailure, std::string> failure_of(const HttpOptions& options, const std::string& url) {
  try {
    HttpConnection connection(options);
    const auto response = connection.send({.url = url});
    ADD_FAILURE() << "answered " << response.status << ", " << response.body.size() << " bytes";
  } catch (const HttpError& error) {
    return {error.failure(), error.what()};
  }
  return {HttpFailure::kCancelled, ""};
}

HttpFailure failure_for(const HttpReply& answer, const HttpOptions& options = {}) {
  HttpServer server([&](const HttpCall&) { return answer; });
  const auto [failure, message] = failure_of(options, server.url("/v1/models"));
  EXPECT_TRUE(message.starts_with(server.url("/v1/models") + ": ")) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_LT(message.size(), 300u);
  return failure;
}

TEST(Http, SendsWhatItIsToldAndKeepsTheConnection) {
  HttpServer server([](const HttpCall& call) {
    return reply(200, call.method + call.body, "Retry-After:  7 \r\nX-Other: 1\r\n");
  });
  HttpConnection connection;
  const std::string body = std::string("{\"a\": \"\xc3\xa4\"}") + std::string(3'000'000, ' ');
  const auto first = connection.send({.url = server.url("/v1/completions"),
                                      .post = true,
                                      .headers = {{"Authorization", "Bearer abc"}},
                                      .body = body});
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.body, "POST" + body);
  EXPECT_EQ(first.retry_after, "7");
  EXPECT_EQ(connection.send({.url = server.url("/")}).body, "GET");
  const auto calls = server.calls();
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].path, "/v1/completions");
  EXPECT_EQ(calls[0].headers.at("authorization"), "Bearer abc");
  EXPECT_EQ(calls[0].headers.count("expect"), 0u);
  EXPECT_EQ(calls[0].headers.count("accept-encoding"), 0u);
  EXPECT_EQ(calls[1].headers.count("authorization"), 0u) << "of the request before";
  EXPECT_EQ(calls[1].connection, 0);
}

TEST(Http, AnyStatusIsAnAnswer) {
  for (const int status : {201, 301, 400, 401, 404, 429, 500, 503}) {
    HttpServer server([&](const HttpCall&) { return reply(status, "why"); });
    const auto response = HttpConnection().send({.url = server.url()});
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.body, "why");
  }
}

TEST(Http, ReadsPiecesChunksAndAnswersWithoutALength) {
  const auto body_of = [](const HttpReply& answer) {
    HttpServer server([&](const HttpCall&) { return answer; });
    return HttpConnection().send({.url = server.url()}).body;
  };
  auto slow = reply(200, "slow but whole");
  slow.piece = 3;
  slow.pause = 2ms;
  EXPECT_EQ(body_of(slow), "slow but whole");
  EXPECT_EQ(body_of({.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"}),
            "hello world");
  EXPECT_EQ(
      body_of({.bytes = "HTTP/1.1 200 OK\r\n\r\nto the end", .then = HttpReply::Then::kClose}),
      "to the end");
  EXPECT_EQ(body_of({.bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
                              "Content-Length: 2\r\n\r\nok"}),
            "ok");
}

TEST(Http, DoesNotFollowRedirects) {
  HttpServer other([](const HttpCall&) { return reply(200, "stolen"); });
  HttpServer server(
      [&](const HttpCall&) { return reply(302, "", "Location: " + other.url("/x") + "\r\n"); });
  const auto response =
      HttpConnection().send({.url = server.url(), .headers = {{"Authorization", "Bearer k"}}});
  EXPECT_EQ(response.status, 302);
  EXPECT_EQ(response.location, other.url("/x"));
  EXPECT_TRUE(other.calls().empty());
}

TEST(Http, TellsHowAConnectionFailed) {
  const auto nobody = "http://127.0.0.1:" + std::to_string(testing::unused_port()) + "/v1";
  EXPECT_EQ(failure_of({}, nobody).first, HttpFailure::kRefused);
  EXPECT_EQ(failure_of({}, "http://no-such-host.invalid/v1").first, HttpFailure::kUnresolved);
  EXPECT_EQ(failure_for({.then = HttpReply::Then::kReset}), HttpFailure::kBroken);
  EXPECT_EQ(failure_for({.then = HttpReply::Then::kClose}), HttpFailure::kBroken);
  EXPECT_EQ(failure_for({.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                         .then = HttpReply::Then::kClose}),
            HttpFailure::kBroken);
  EXPECT_EQ(failure_for({.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                         .then = HttpReply::Then::kReset}),
            HttpFailure::kBroken);
  EXPECT_EQ(failure_for({.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "-2\r\nhello\r\n0\r\n\r\n"}),
            HttpFailure::kBroken);
  EXPECT_EQ(failure_for({.bytes = "SSH-2.0-OpenSSH_9.2\r\n", .then = HttpReply::Then::kClose}),
            HttpFailure::kNotHttp);
}

TEST(Http, TimeIsBounded) {
  const HttpOptions quick{.total_seconds = 0.2};
  EXPECT_EQ(failure_for({.delay = 20s}, quick), HttpFailure::kTimeout);
  auto drops = reply(200, std::string(1000, 'x'));
  drops.piece = 1;
  drops.pause = 20ms;
  EXPECT_EQ(failure_for(drops, quick), HttpFailure::kTimeout);
}

TEST(Http, TheBodyIsBounded) {
  const HttpOptions small{.max_body_bytes = 1000};
  HttpServer server([](const HttpCall&) { return reply(200, std::string(1000, 'x')); });
  EXPECT_EQ(HttpConnection(small).send({.url = server.url()}).body.size(), 1000u);
  EXPECT_EQ(failure_for(reply(200, std::string(1001, 'x')), small), HttpFailure::kTooLarge);
  // Lengths that are not true: nothing is set aside for them.
  EXPECT_EQ(failure_for({.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\nx"}),
            HttpFailure::kTooLarge);
  EXPECT_EQ(
      failure_for({.bytes = "HTTP/1.1 200 OK\r\n\r\n", .repeated = std::string(4096, 'x')}, small),
      HttpFailure::kTooLarge);
  EXPECT_EQ(failure_for({.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                         .repeated = "400\r\n" + std::string(1024, 'x') + "\r\n"},
                        small),
            HttpFailure::kTooLarge);
  EXPECT_EQ(failure_for({.bytes = "HTTP/1.1 200 OK\r\n",
                         .repeated = "X-Header: " + std::string(1000, 'x') + "\r\n"}),
            HttpFailure::kTooLarge);
}

TEST(Http, CanBeCancelledWhileItWaits) {
  const auto begin = std::chrono::steady_clock::now();
  const HttpOptions options{
      .cancelled = [&] { return std::chrono::steady_clock::now() - begin > 100ms; }};
  EXPECT_EQ(failure_for({.delay = 60s}, options), HttpFailure::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(Http, WantsTlsWhereItIsAskedFor) {
  HttpServer server([](const HttpCall&) { return reply(200, "plain"); });
  std::string url = server.url();
  url.insert(4, "s");
  EXPECT_EQ(failure_of({.total_seconds = 5}, url).first, HttpFailure::kTls);
}

/// `openssl s_server` with a certificate that nobody signed but itself.
class SelfSignedServer {
 public:
  SelfSignedServer() : port_(testing::unused_port()) {
    const std::string folder = folder_.path().string();
    const auto run = [](const std::string& command) { return std::system(command.c_str()) == 0; };
    started_ = run("command -v openssl >/dev/null") &&
               run("cd " + folder +
                   " && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert "
                   "-days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
                   ">/dev/null 2>&1") &&
               run("cd " + folder + " && (openssl s_server -accept " + std::to_string(port_) +
                   " -key key -cert cert -www >/dev/null 2>&1 & echo $! > pid)");
  }
  ~SelfSignedServer() {
    std::ifstream in(folder_ / "pid");
    if (pid_t pid = 0; in >> pid) ::kill(pid, SIGKILL);
  }
  bool started() const { return started_; }
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_) + "/"; }

 private:
  testing::TempFolder folder_;
  int port_;
  bool started_ = false;
};

TEST(Http, TrustsNoCertificateThatNobodySigned) {
  const SelfSignedServer server;
  if (!server.started()) GTEST_SKIP() << "no openssl program";
  HttpFailure failure = HttpFailure::kRefused;
  for (int i = 0; i < 100 && failure == HttpFailure::kRefused; ++i) {  // until it listens
    std::this_thread::sleep_for(50ms);
    failure = failure_of({}, server.url()).first;
  }
  EXPECT_EQ(failure, HttpFailure::kTls);
}

TEST(Http, TakesNoProxyFromTheEnvironment) {
  HttpServer proxy([](const HttpCall&) { return reply(200, "proxy"); });
  HttpServer server([](const HttpCall&) { return reply(200, "server"); });
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  ::setenv("no_proxy", "", 1);
  EXPECT_EQ(HttpConnection().send({.url = server.url()}).body, "server");
  ::unsetenv("http_proxy");
  ::unsetenv("no_proxy");
}

TEST(Http, RefusesWhatIsNoUrlOrHeader) {
  for (const char* url : {"http://127.0.0.1:8000/v1", "https://example.org", "http://[::1]:80/v1",
                          "http://a-b.c:65535"}) {
    EXPECT_NO_THROW(check_http_url(url)) << url;
  }
  for (const char* url :
       {"", "example.org/v1", "ftp://example.org", "file:///etc/passwd", "http://", "http:///v1",
        "http://a:0", "http://a:65536", "http://a:b", "http://a b", "http://a\n", "HTTP://a",
        "http://[::1", "http://\xc3\xa4"}) {
    EXPECT_NE(message_of<InputError>([&] { check_http_url(url); }).find("` is no URL"),
              std::string::npos)
        << url;
  }
  for (const char* url :
       {"http://me:secret@host/v1", "http://host/v1?key=secret", "http://h#secret"}) {
    const auto message = message_of<InputError>([&] { check_http_url(url); });
    EXPECT_EQ(message.find("secret"), std::string::npos) << message;
  }
  const auto message = message_of<InputError>([] {
    HttpConnection().send(
        {.url = "http://127.0.0.1:1", .headers = {{"Authorization", "se\r\ncret"}}});
  });
  EXPECT_NE(message.find("`Authorization` holds a line break"), std::string::npos) << message;
  EXPECT_EQ(message.find("cret"), std::string::npos) << message;
}

TEST(HttpUrl, SaysWhatStaysOnThisMachine) {
  for (const char* url : {"http://localhost", "http://LOCALHOST:80/v1", "http://127.0.0.1:8000/v1",
                          "http://127.255.3.4/", "http://[::1]:8000/v1", "https://localhost/v1"}) {
    EXPECT_TRUE(is_loopback_url(url)) << url;
  }
  for (const char* url :
       {"http://localhost.example", "http://localhost.evil:80/v1", "http://127.0.0.1.example/v1",
        "http://127.0.0.1x/", "http://127.0.0/", "http://127.0.0.0.1/", "http://127.0.0.256/",
        "http://128.0.0.1/", "http://127.0.0.-1/", "http://127..0.1/", "http://[::2]/",
        "http://[::1", "http://[::1].example/", "http://mylocalhost/", "http://10.0.0.1/",
        "http://a/localhost", "http://127.0.0.1./"}) {
    EXPECT_FALSE(is_loopback_url(url)) << url;
  }
}

}  // namespace
}  // namespace distill::io
