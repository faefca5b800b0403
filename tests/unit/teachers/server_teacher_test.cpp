#include <distill/teachers/server_teacher.h>

#include <ATen/ops/allclose.h>
#include <ATen/ops/log_softmax.h>

#include <distill/ops/linear_divergence.h>
#include <distill/teachers/local_teacher.h>

#include "unit/teachers/served_teacher.h"

namespace distill::teachers {
namespace {

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

TEST_F(ServerTeacherTest, IdsBeyondTheVocabularyAreToldUnlessTheyAreATrace) {
  auto own = options();
  own.vocabulary = kIds / 2;
  auto teacher = make(own);
  const auto batch = batch_of({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}, {13, 14, 15}});
  const auto message = message_of<TeacherError>([&] { teacher.signal(batch); });
  EXPECT_NE(message.find("the student has 20 ids"), std::string::npos) << message;
  // A row with one id too high, of almost no probability.
  behave([this](const HttpCall& call) {
    // Requests of before may still be under way, and new connections are asked the probe.
    if (call.body.find("[1,2]") == std::string::npos) return scores_(call);
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
