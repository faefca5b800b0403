#include "unit/teachers/served_teacher.h"

namespace distill::teachers {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

/// A body with its length put right.
HttpReply changed(const HttpReply& good, const std::string& from, const std::string& to) {
  const auto body = good.bytes.substr(good.bytes.find("\r\n\r\n") + 4);
  return reply(200, replaced(body, from, to));
}

struct Fault {
  std::string name;
  std::function<HttpReply(const HttpReply& good)> make;
  bool once_is_harmless = true;  ///< tried again, and the result is the same to the last bit
  std::string part = "";         ///< of the message, when it stays
};

std::vector<Fault> faults() {
  const auto always = [](HttpReply bad) { return [bad](const HttpReply&) { return bad; }; };
  const auto half = [](HttpReply::Then then) {
    return [then](const HttpReply& good) {
      return HttpReply{.bytes = good.bytes.substr(0, good.bytes.size() / 2), .then = then};
    };
  };
  const auto with = [](const std::string& from, const std::string& to) {
    return [from, to](const HttpReply& good) { return changed(good, from, to); };
  };
  using Then = HttpReply::Then;
  return {
      {"closed", always({.then = Then::kClose}), true, "broke off"},
      {"reset", always({.then = Then::kReset}), true, "broke off"},
      {"half an answer", half(Then::kClose), true, "broke off"},
      {"reset in mid-body", half(Then::kReset), true, "broke off"},
      {"silence", always({.then = Then::kSilence}), true, "no whole answer in time"},
      {"slow bytes",
       [](const HttpReply& good) {
         return HttpReply{.bytes = good.bytes, .piece = 10, .pause = 100ms};
       },
       true, "no whole answer in time"},
      {"408", always(reply(408, "")), true, "answered 408"},
      {"409", always(reply(409, "")), true, "answered 409"},
      {"429", always(reply(429, "slow", "Retry-After: 0\r\n")), true, "answered 429, `slow`"},
      {"500", always(reply(500, "<html>oops</html>")), true, "answered 500, `<html>oops</html>`"},
      {"503", always(reply(503, "loading")), true, "answered 503, `loading`"},
      {"400", always(reply(400, R"({"error":{"message":"too many"}})")), false,
       "answered 400, `too many`"},
      {"401", always(reply(401, "who?")), false, "is it the right key"},
      {"404", always(reply(404, "no")), false, "ends with /v1"},
      {"501", always(reply(501, "no")), false, "answered 501"},
      {"too long", always(reply(400, R"({"error":{"message":"maximum model length is 4"}})")),
       false, "the prompt is too long"},
      {"redirect", always(reply(302, "", "Location: http://127.0.0.1:1/\r\n")), false, "points to"},
      {"HTML", always(reply(200, "<html>proxy</html>")), true, "answer begins `<html>proxy"},
      {"empty", always(reply(200, "")), true, "the answer begins ``"},
      {"an array", always(reply(200, "[]")), true, "the answer begins `[]`"},
      {"no choice", always(reply(200, R"({"model":"m","choices":[]})")), true, "has 0 answers"},
      {"another model", with(R"("model":"m")", R"("model":"n")"), true, "is `n`, asked was `m`"},
      {"NaN", with(R"("logprob":-)", R"("logprob":NaN,"x":-)"), true, "the answer begins"},
      {"null", with(R"("logprob":-)", R"("logprob":null,"x":-)"), true, "must be a number"},
      {"a positive one", with(R"("logprob":-)", R"("logprob":)"), true, "expected at most 0"},
      {"a certain one too many", with(R"("logprob":-)", R"("logprob":-0,"x":-)"), true, "sum to"},
      {"a position less", with("[null,", "["), true, "positions, the prompt has"},
      {"a position more", with("[null,", "[null,null,"), true, "positions, the prompt has"},
      {"an id that is no number", with(R"([null,{")", R"([null,{"a)"), true, "expected a token id"},
      {"packed", always(reply(200, "\x1f\x8b\x08 packed", "Content-Encoding: gzip\r\n")), true,
       "the answer begins"},
      {"chunk of -2",
       always({.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n"}), true,
       "broke off"},
      {"a length that is a lie",
       always({.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{"}), false,
       "larger than"},
      {"endless",
       always({.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
               .repeated = "40000\r\n" + std::string(0x40000, 'x') + "\r\n"}),
       false, "larger than"},
      {"no HTTP", always({.bytes = "nonsense\r\n\r\n", .then = Then::kClose}), false, "not HTTP"},
  };
}

TEST_F(ServerTeacherTest, EveryFaultIsRetriedToTheSameBitsOrToldInOneLine) {
  const auto batch = batch_of(kTexts);
  const auto expected = straight(batch);
  for (const auto& fault : faults()) {
    for (const bool for_ever : {false, true}) {
      SCOPED_TRACE(fault.name + (for_ever ? ", for ever" : ", once"));
      auto own = options();
      if (fault.name == "slow bytes" || fault.name == "silence") own.server.timeout_seconds = 0.3;
      if (fault.name == "endless") own.server.timeout_seconds = 30;
      auto teacher = make(own);
      auto calls = std::make_shared<std::atomic<int>>(0);
      behave([this, calls, for_ever, &fault](const HttpCall& call) {
        const auto good = scores_(call);
        return (*calls)++ == 1 || for_ever ? fault.make(good) : good;
      });
      std::string message;
      try {
        expect_equal(top_k(teacher.signal(batch)), expected);
      } catch (const Error& error) {
        message = error.what();
      }
      const auto counts = *teacher.counts();
      EXPECT_EQ(message.empty(), fault.once_is_harmless && !for_ever) << message;
      if (message.empty()) {
        EXPECT_LE(counts.retries + counts.bad_answers, 1);
      } else {
        EXPECT_TRUE(message.starts_with(server_.url("/v1/completions"))) << message;
        EXPECT_NE(message.find(fault.part), std::string::npos) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos);
        EXPECT_LT(message.size(), 400u) << message;
      }
      EXPECT_LE(counts.retries, 3 * 3);
      EXPECT_LE(counts.bad_answers, 3 * 2);
      behave([this](const HttpCall& call) { return scores_(call); });
    }
  }
}

TEST_F(ServerTeacherTest, AServerThatWentAwayIsTold) {
  const auto batch = batch_of(kTexts);
  auto gone = std::make_unique<HttpServer>([this](const HttpCall& call) { return scores_(call); });
  auto own = options();
  own.server.url = gone->url("/v1");
  auto teacher = make(own);
  gone.reset();
  const auto message = message_of<io::HttpError>([&] { teacher.signal(batch); });
  EXPECT_NE(message.find("is the server running?"), std::string::npos) << message;
  EXPECT_NE(message.find("tried 4 times"), std::string::npos) << message;
}

TEST_F(ServerTeacherTest, TheKeyIsInNoMessage) {
  auto own = options();
  own.server.api_key = "sk-0123-secret";
  behave([n = std::make_shared<std::atomic<int>>(0), this](const HttpCall& call) {
    EXPECT_EQ(call.headers.at("authorization"), "Bearer sk-0123-secret");
    if ((*n)++ == 0) return scores_(call);
    return reply(*n % 2 ? 500 : 200, "no such key: sk-0123-secret");
  });
  auto teacher = make(own);
  const auto message = message_of<TeacherError>([&] { teacher.signal(batch_of(kTexts)); });
  log_.lines.push_back(message);
  log_.lines.push_back(teacher.describe());
  for (const auto& line : log_.lines) EXPECT_EQ(line.find("secret"), std::string::npos) << line;
}

TEST_F(ServerTeacherTest, AKeyThatTheServerCallsItselfIsInNoMessage) {
  auto own = options();
  own.server.api_key = "sk-0123-secret";
  for (const auto api : {ServerApi::kVllm, ServerApi::kSglang}) {
    own.api = api;
    scores_.fingerprint = "one sk-0123-secret";
    auto teacher = make(own);
    scores_.fingerprint = "two sk-0123-secret";
    const auto message = message_of<TeacherError>([&] { teacher.signal(batch_of(kTexts)); });
    EXPECT_EQ(message.find("secret"), std::string::npos) << message;
    EXPECT_NE(message.find("it was `one [key]` and is `two [key]`"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace distill::teachers
