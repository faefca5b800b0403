#include <distill/teachers/server_teacher.h>

#include <chrono>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include <distill/core/interrupted.h>
#include <distill/ops/linear_divergence.h>
#include <distill/teachers/local_teacher.h>

#include "support/recording_logger.h"
#include "support/score_server.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::teachers {
namespace {

using testing::HttpCall;
using testing::HttpReply;
using testing::HttpServer;
using testing::message_of;
using testing::reply;
using testing::ToyModel;
using namespace std::chrono_literals;

constexpr std::int64_t kIds = 40;
const std::vector<std::int64_t> kProbe = {1, 7, 3, 39, 0, 5};

std::shared_ptr<ToyModel> toy(std::uint64_t seed = 1) {
  return std::make_shared<ToyModel>(
      ToyModel::Options{.vocab_size = kIds, .seed = seed, .scale = 3});
}

/// Every prediction counts but that of the last token of a segment.
types::Batch batch_of(const std::vector<std::vector<std::int64_t>>& sequences) {
  types::Batch batch;
  batch.input = types::pack(sequences);
  batch.loss_mask = at::ones({batch.input.input_ids.numel()}, at::kBool);
  batch.labels = at::roll(batch.input.input_ids, {-1}, {0});
  for (std::size_t s = 1; s < batch.input.segments.size(); ++s) {
    batch.loss_mask[batch.input.segments[s] - 1] = false;
  }
  return batch;
}

const std::vector<std::vector<std::int64_t>> kTexts = {
    {1, 2, 3, 4, 5}, {9, 8, 7}, {30, 31, 32, 33}};

class ServerTeacherTest : public ::testing::Test {
 protected:
  ServerTeacherOptions options(std::int64_t top_k = 8) {
    ServerTeacherOptions options;
    options.server = {.url = server_.url("/v1"), .model = "m", .timeout_seconds = 1};
    options.server.parallel = 3;
    options.server.retry = {.max_retries = 3, .first_wait = 0.01, .longest_wait = 0.02};
    options.top_k = top_k;
    options.vocabulary = kIds;
    options.probe = kProbe;
    return options;
  }
  ServerTeacher make(const ServerTeacherOptions& options) { return {options, log_, &stop_}; }
  static types::TopKLogProbs top_k(const types::TeacherSignal& signal) {
    return std::get<types::TopKLogProbs>(signal);
  }
  /// What all scores are when nothing goes wrong.
  types::TopKLogProbs straight(const types::Batch& batch) {
    auto teacher = make(options());
    return top_k(teacher.signal(batch));
  }
  /// From now on each call for scores is answered so.
  void behave(HttpServer::Handler handler) {
    const std::lock_guard lock(mutex_);
    handler_ = std::move(handler);
  }
  int num_asked() {
    int count = 0;
    for (const auto& call : server_.calls()) count += call.path != "/v1/models";
    return count;
  }

  testing::RecordingLogger log_;
  core::StopFlag stop_;
  testing::ScoreServer scores_{toy()};
  std::mutex mutex_;
  HttpServer::Handler handler_ = [this](const HttpCall& call) { return scores_(call); };
  HttpServer server_{[this](const HttpCall& call) {
    HttpServer::Handler handler;
    {
      const std::lock_guard lock(mutex_);
      handler = handler_;
    }
    return call.path == "/v1/models" ? scores_(call) : handler(call);
  }};
};

void expect_equal(const types::TopKLogProbs& a, const types::TopKLogProbs& b) {
  EXPECT_TRUE(at::equal(a.ids, b.ids));
  EXPECT_TRUE(at::equal(a.log_probs, b.log_probs));
}

TEST_F(ServerTeacherTest, RowsAreTheModelsOwnAtTheirPlaces) {
  auto teacher = make(options());
  const auto batch = batch_of(kTexts);
  const auto signal = top_k(teacher.signal(batch));
  ASSERT_EQ(signal.ids.sizes(), at::IntArrayRef({12, 8}));
  EXPECT_EQ(signal.vocabulary, kIds);
  EXPECT_EQ(signal.temperature, 1.0);
  const auto output = toy()->forward(batch.input);
  const at::Tensor expected =
      at::log_softmax(models::logits(output, output.hidden).to(at::kDouble), 1);
  for (std::int64_t t = 0; t < 12; ++t) {
    if (!batch.loss_mask[t].item<bool>()) continue;
    const auto [values, ids] = expected[t].topk(8);
    const at::Tensor own = std::get<0>(ids.sort());
    EXPECT_TRUE(at::equal(signal.ids[t].to(at::kLong), own)) << t;
    EXPECT_TRUE(at::allclose(signal.log_probs[t].to(at::kDouble), expected[t].index_select(0, own),
                             1e-6, 1e-6))
        << t;
  }
}

/// The sum of forward KL between a student and the teacher.
double loss_of(const types::TeacherSignal& teacher, const types::Batch& batch) {
  const auto student = toy(5)->forward(batch.input);
  ops::LinearDivergenceInput input;
  input.student_hidden = student.hidden;
  input.student_head = student.head;
  input.teacher = teacher;
  input.labels = batch.labels;
  input.valid = batch.loss_mask;
  const ops::LogitTerm term{.kind = ops::LogitTermKind::kForwardKl};
  return ops::linear_divergence(input, std::span(&term, 1)).total.item<double>();
}

TEST_F(ServerTeacherTest, LossIsTheLocalTeachersWithAllIdsAndBelowItWithFewer) {
  const auto batch = batch_of(kTexts);
  const double local = loss_of(make_local_teacher(toy(), "toy")->signal(batch), batch);
  double last = 0;
  for (const std::int64_t k : {2, 8, 20, 39, 40}) {
    auto teacher = make(options(k));
    const double seen = loss_of(teacher.signal(batch), batch);
    EXPECT_GE(seen, last - 1e-5) << "finer classes see more of the difference, k " << k;
    EXPECT_LE(seen, local + 1e-4) << k;
    last = seen;
  }
  EXPECT_NEAR(last, local, 1e-4 * local);
}

TEST_F(ServerTeacherTest, SglangSaysTheSame) {
  const auto batch = batch_of(kTexts);
  const auto expected = straight(batch);
  auto own = options();
  own.api = ServerApi::kSglang;
  auto teacher = make(own);
  expect_equal(top_k(teacher.signal(batch)), expected);
  const auto call = server_.calls().back();
  EXPECT_EQ(call.path, "/generate");
  const auto value = io::parse_json(call.body, "body");
  const io::JsonCursor body(value, "body");
  EXPECT_EQ(body.at("sampling_params").at("max_new_tokens").as_int(), 0);
  EXPECT_EQ(body.at("logprob_start_len").as_int(), 0);
  EXPECT_TRUE(body.at("return_logprob").as_bool());
}

TEST_F(ServerTeacherTest, PackingAndOrderChangeNothing) {
  auto teacher = make(options());
  const auto together = top_k(teacher.signal(batch_of(kTexts)));
  const auto alone = top_k(teacher.signal(batch_of({kTexts[1]})));
  EXPECT_TRUE(at::equal(together.log_probs.narrow(0, 5, 3), alone.log_probs));
}

TEST_F(ServerTeacherTest, AnnouncedBatchesAreAskedInTheBackgroundAndOnce) {
  auto teacher = make(options());
  const auto expected = straight(batch_of(kTexts));
  const int before = num_asked();
  behave([this](const HttpCall& call) {
    auto answer = scores_(call);
    answer.delay = 150ms;
    return answer;
  });
  for (int i = 0; i < 3; ++i) teacher.announce(batch_of(kTexts));
  std::this_thread::sleep_for(600ms);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) expect_equal(top_k(teacher.signal(batch_of(kTexts))), expected);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 100ms) << "it was there already";
  EXPECT_LE(num_asked() - before, 3 + 3) << "equal segments in flight are asked once";
  EXPECT_EQ(server_.most_at_once(), 3);
  EXPECT_LT(teacher.counts()->seconds_waited, 0.1);
  EXPECT_LE(teacher.counts()->requests, 4 + 3) << "and the probe, on new connections";
}

TEST_F(ServerTeacherTest, WhatNobodyWantsAnyMoreIsNotAsked) {
  auto own = options();
  own.server.parallel = 1;
  auto teacher = make(own);
  behave([this](const HttpCall& call) {
    auto answer = scores_(call);
    answer.delay = 50ms;
    return answer;
  });
  const int before = num_asked();
  teacher.announce(batch_of({{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}, {11, 12}}));
  teacher.announce(batch_of({{20, 21}}));
  teacher.signal(batch_of({{20, 21}}));  // a run that went on from another place
  EXPECT_LE(num_asked() - before, 4);
}

TEST_F(ServerTeacherTest, SegmentsWithoutTargetsAreNotAsked) {
  auto teacher = make(options());
  const int before = num_asked();
  auto batch = batch_of({{1, 2, 3}, {4}});
  batch.loss_mask.fill_(false);
  const auto signal = top_k(teacher.signal(batch));
  EXPECT_EQ(num_asked(), before);
  EXPECT_EQ(signal.ids.size(0), 4);
  EXPECT_NEAR(signal.log_probs.exp().sum(1)[0].item<double>(), 8.0 / kIds, 1e-6);
}

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

TEST_F(ServerTeacherTest, IdsBeyondTheVocabularyAreToldUnlessTheyAreATrace) {
  auto own = options();
  own.vocabulary = kIds / 2;
  auto teacher = make(own);
  const auto batch = batch_of({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}, {13, 14, 15}});
  const auto message = message_of<TeacherError>([&] { teacher.signal(batch); });
  EXPECT_NE(message.find("the student has 20 ids"), std::string::npos) << message;
  // A row with one id too high, of almost no probability.
  behave([](const HttpCall&) {
    std::string answer =
        R"({"model":"m","choices":[{"index":0,"text":"x","finish_reason":"length",)"
        R"("prompt_logprobs":[null,{"2":{"logprob":-0.1})";
    for (int id = 3; id < 9; ++id) answer += ",\"" + std::to_string(id) + R"(":{"logprob":-9})";
    return reply(200, answer + R"(,"39":{"logprob":-20}}]}]})");
  });
  const auto signal = top_k(teacher.signal(batch_of({{1, 2}})));
  EXPECT_EQ(signal.ids[0][0].item<std::int64_t>(), 0) << "another id, which takes of the rest";
  EXPECT_EQ(signal.ids[0][7].item<std::int64_t>(), 8);
  EXPECT_LT(signal.log_probs[0].exp().sum().item<double>(), 1);
}

TEST_F(ServerTeacherTest, AModelThatChangesEndsIt) {
  auto own = options();
  own.check_seconds = 0.05;
  auto teacher = make(own);
  const auto batch = batch_of(kTexts);
  for (int i = 0; i < 5; ++i) {
    teacher.signal(batch);
    std::this_thread::sleep_for(60ms);
  }
  scores_.use(toy(2));
  const auto message = message_of<TeacherError>([&] {
    for (int i = 0; i < 5; ++i) {
      teacher.signal(batch);
      std::this_thread::sleep_for(60ms);
    }
  });
  EXPECT_NE(message.find("the model has changed"), std::string::npos) << message;
  EXPECT_NE(message.find("`max_drift`"), std::string::npos) << message;
  scores_.use(toy());
  EXPECT_THROW(teacher.signal(batch), TeacherError) << "what came meanwhile may have been used";
}

TEST_F(ServerTeacherTest, AModelThatChangedWhileTheServerWasAwayIsNoticedAtOnce) {
  auto teacher = make(options());  // looks once a minute
  const auto batch = batch_of(kTexts);
  teacher.signal(batch);
  scores_.use(toy(2));
  auto calls = std::make_shared<std::atomic<int>>(0);
  behave([this, calls](const HttpCall& call) {
    return (*calls)++ < 3 ? HttpReply{.then = HttpReply::Then::kReset} : scores_(call);
  });
  const auto message = message_of<TeacherError>([&] { teacher.signal(batch); });
  EXPECT_NE(message.find("the model has changed"), std::string::npos) << message;
}

TEST_F(ServerTeacherTest, AServerThatCallsItselfSomethingElseEndsIt) {
  for (const auto api : {ServerApi::kVllm, ServerApi::kSglang}) {
    scores_.fingerprint = "v1";
    auto own = options();
    own.api = api;
    auto teacher = make(own);
    teacher.signal(batch_of(kTexts));
    scores_.fingerprint = "v2";
    const auto message = message_of<TeacherError>([&] { teacher.signal(batch_of(kTexts)); });
    EXPECT_NE(message.find("it was `v1` and is `v2` now"), std::string::npos) << message;
  }
}

TEST_F(ServerTeacherTest, RoundingIsNoChange) {
  auto own = options();
  own.check_seconds = 0.01;
  scores_.noise = 0.02;
  auto teacher = make(own);
  for (int i = 0; i < 10; ++i) {
    teacher.signal(batch_of(kTexts));
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_GT(teacher.counts()->requests, 30) << "the probe was asked too";
}

TEST_F(ServerTeacherTest, CanBeStoppedWhileItWaits) {
  auto own = options();
  own.server.timeout_seconds = 600;
  auto teacher = make(own);
  behave([](const HttpCall&) { return HttpReply{.then = HttpReply::Then::kSilence}; });
  const auto start = std::chrono::steady_clock::now();
  std::thread signal([this] {
    std::this_thread::sleep_for(300ms);
    stop_.request(15);
  });
  const auto message = message_of<Interrupted>([&] { teacher.signal(batch_of(kTexts)); });
  signal.join();
  EXPECT_NE(message.find("stopped by signal 15 while waiting"), std::string::npos) << message;
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST_F(ServerTeacherTest, EndsWhileItIsAskedSomething) {
  behave([this, n = std::make_shared<std::atomic<int>>(0)](const HttpCall& call) {
    return (*n)++ == 0 ? scores_(call) : HttpReply{.then = HttpReply::Then::kSilence};
  });
  auto own = options();
  own.server.timeout_seconds = 600;
  const auto start = std::chrono::steady_clock::now();
  {
    auto teacher = make(own);
    teacher.announce(batch_of(kTexts));
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
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

TEST_F(ServerTeacherTest, OptionsThatMakeNoSenseAreRefused) {
  const auto refused = [&](const std::function<void(ServerTeacherOptions&)>& change) {
    auto own = options();
    change(own);
    return message_of<InputError>([&] { make(own); });
  };
  EXPECT_NE(refused([](auto& o) { o.top_k = 41; }).find("top_k must be 1 to the number of ids, 40"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.top_k = 0; }).find("it is 0"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.probe = {1}; }).find("probe"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.max_drift = 0; }).find("max_drift"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.server.model = "n"; }).find("it serves `m`"),
            std::string::npos);
}

TEST_F(ServerTeacherTest, SaysHowIdsAreSpeltAndTextsAreCut) {
  scores_.max_tokens = 1024;
  auto teacher = make(options());
  EXPECT_GE(teacher.token_texts().size(), 8u);
  EXPECT_EQ(teacher.token_texts().at(7), "t7");
  EXPECT_EQ(teacher.tokenize("a"), std::nullopt);
  scores_.tokenize = [](const std::string& text) {
    return std::vector<std::int64_t>(text.size(), 7);
  };
  EXPECT_EQ(teacher.tokenize("abc"), (std::vector<std::int64_t>{7, 7, 7}));
  EXPECT_EQ(teacher.max_tokens(), 1024);
}

}  // namespace
}  // namespace distill::teachers
