// A served model that reads the text in its own tokens, against the same model in this process.
#include <distill/teachers/chunk_server_teacher.h>

#include <gtest/gtest.h>

#include <ATen/ops/abs.h>
#include <ATen/ops/full.h>
#include <ATen/ops/max.h>

#include <distill/core/error.h>
#include <distill/losses/alm.h>
#include <distill/losses/uld.h>
#include <distill/teachers/local_teacher.h>
#include <distill/types/teacher_tokens.h>

#include "support/chunked_input.h"
#include "support/recording_logger.h"
#include "support/score_server.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"
#include "teachers/own_token_rows.h"

namespace distill::teachers {
namespace {

using testing::HttpCall;
using testing::HttpServer;
using testing::ids;
using testing::message_of;
using testing::ToyModel;

constexpr std::int64_t kIds = 40;

std::shared_ptr<ToyModel> toy() {
  return std::make_shared<ToyModel>(ToyModel::Options{.vocab_size = kIds, .scale = 3});
}

/// Two texts of the teacher with five chunks, of a student's nine positions.
types::Batch batch_of_chunks() {
  auto tokens = std::make_shared<types::TeacherTokens>();
  tokens->input = types::pack({{1, 2, 3, 4, 5, 6}, {30, 31, 30}});
  tokens->labels = ids({2, 3, 4, 5, 6, 0, 31, 30, 0});
  tokens->chunk_of_row = ids({0, 0, -1, 1, 2, -1, 3, 4, -1});
  tokens->first_rows = ids({0, 3, 4, 6, 7});
  tokens->student_chunks = ids({0, 1, 1, 2, -1, 3, 4, 4, -1});
  tokens->student_first = ids({0, 1, 3, 5, 6});
  tokens->vocabulary = kIds;
  types::Batch batch;
  batch.input = types::pack({{7, 8, 9, 1, 2}, {3, 4, 5, 6}});
  batch.labels = ids({8, 9, 1, 2, 0, 4, 5, 6, 0});
  batch.loss_mask = tokens->student_chunks >= 0;
  batch.num_targets = 7;
  batch.teacher_tokens = tokens;
  return batch;
}

/// What a student makes of it.
struct Loss {
  double value;
  at::Tensor gradient;
};
Loss alm(const types::Batch& batch, const types::TeacherSignal& teacher) {
  losses::LossInput input;
  input.student = ToyModel(ToyModel::Options{.vocab_size = 50, .seed = 5}).forward(batch.input);
  const at::Tensor hidden = input.student.hidden.detach().set_requires_grad(true);
  input.student.hidden = hidden;
  input.student.head = input.student.head.detach();
  input.teacher = teacher;
  input.labels = batch.labels;
  input.mask = batch.loss_mask;
  const auto value = losses::Alm({})(input);
  value.sum.backward();
  return {value.sum.item<double>(), hidden.grad()};
}

class ChunkServerTeacherTest : public ::testing::Test {
 protected:
  std::unique_ptr<Teacher> make(ServerApi api = ServerApi::kVllm) {
    ServerTeacherOptions options;
    options.server = {.url = server_.url("/v1"), .model = "m", .timeout_seconds = 5};
    options.server.parallel = 2;
    options.api = api;
    options.top_k = 8;
    options.vocabulary = kIds;
    options.own_tokens = true;
    options.probe = {1, 7, 3};
    return make_chunk_server_teacher(std::make_unique<ServerTeacher>(options, log_, nullptr));
  }
  int num_asked() {
    int count = 0;
    for (const auto& call : server_.calls()) count += call.path != "/v1/models";
    return count;
  }

  testing::RecordingLogger log_;
  testing::ScoreServer scores_{toy()};
  HttpServer server_{[this](const HttpCall& call) { return scores_(call); }};
};

TEST_F(ChunkServerTeacherTest, AlmIsThatOfTheSameModelInThisProcess) {
  const types::Batch batch = batch_of_chunks();
  const Loss local = alm(batch, make_local_teacher(toy(), "toy")->signal(batch));
  EXPECT_GT(local.value, 0.1);
  for (const ServerApi api : {ServerApi::kVllm, ServerApi::kSglang}) {
    const auto teacher = make(api);
    for (const bool announced : {false, true}) {
      if (announced) teacher->announce(batch);
      const auto signal = teacher->signal(batch);
      const auto& answer = std::get<types::AlignedChunks>(signal);
      EXPECT_EQ(answer.tokens, batch.teacher_tokens);
      EXPECT_FALSE(answer.hidden.has_value());
      const Loss served = alm(batch, signal);
      EXPECT_NEAR(served.value, local.value, 1e-5 * local.value);
      EXPECT_LT(at::max(at::abs(served.gradient - local.gradient)).item<double>(),
                1e-5 * at::max(at::abs(local.gradient)).item<double>());
    }
  }
}

TEST_F(ChunkServerTeacherTest, AsksForTheTextsOwnTokensAlone) {
  const auto teacher = make();
  const types::Batch batch = batch_of_chunks();
  teacher->signal(batch);
  std::vector<std::string> prompts;
  for (const auto& call : server_.calls()) {
    if (call.path != "/v1/completions") continue;
    const auto value = io::parse_json(call.body, "body");
    const io::JsonCursor body(value, "body");
    const bool is_probe = body.at("prompt").at(std::size_t{1}).as_int() == 7;
    EXPECT_EQ(body.at("prompt_logprobs").as_int(), is_probe ? 8 : 1);
    if (!is_probe) prompts.push_back(core::concat(body.at("prompt").size()));
  }
  std::ranges::sort(prompts);
  EXPECT_EQ(prompts, (std::vector<std::string>{"3", "6"})) << "a request for each text";
  EXPECT_NE(teacher->describe().find("the text's own tokens of 40 ids"), std::string::npos);
  EXPECT_GE(teacher->counts()->requests, 3);
  EXPECT_EQ(teacher->summary().size(), 1u);
}

TEST_F(ChunkServerTeacherTest, WithoutChunksNobodyIsAsked) {
  const auto teacher = make();
  const int before = num_asked();
  types::Batch batch = batch_of_chunks();
  auto none = std::make_shared<types::TeacherTokens>(*batch.teacher_tokens);
  none->input = types::pack({});
  none->labels = none->chunk_of_row = none->first_rows = none->student_first = ids({});
  none->student_chunks = at::full({9}, -1, at::kLong);
  batch.teacher_tokens = none;
  teacher->announce(batch);
  EXPECT_EQ(alm(batch, teacher->signal(batch)).value, 0);
  EXPECT_EQ(num_asked(), before);
}

TEST_F(ChunkServerTeacherTest, SaysWhatItCannotDo) {
  const auto teacher = make();
  types::Batch batch = batch_of_chunks();
  losses::LossInput input;
  input.student = ToyModel(ToyModel::Options{.vocab_size = 50}).forward(batch.input);
  input.labels = batch.labels;
  input.teacher = teacher->signal(batch);
  EXPECT_NE(message_of<TeacherError>([&] { losses::Uld({})(input); }).find("use `alm`"),
            std::string::npos);
  batch.teacher_tokens.reset();
  EXPECT_NE(message_of<TeacherError>([&] {
              teacher->signal(batch);
            }).find("holds no text in the teacher's own tokens"),
            std::string::npos);
}

TEST(OwnTokenRows, AreTheTokensThatFollow) {
  PromptScores scores;
  scores.log_probs = {{}, {{3, -0.5}, {9, -2.0}}, {{4, -0.25}}};
  const auto rows = detail::own_token_rows(scores, {1, 9, 4});
  EXPECT_EQ(rows.ids[0].item<std::int64_t>(), 9);
  EXPECT_EQ(rows.log_probs[0].item<double>(), -2.0);
  EXPECT_EQ(rows.log_probs[1].item<double>(), -0.25);
  EXPECT_EQ(rows.log_probs[2].item<double>(), 0.0);
  EXPECT_EQ(detail::own_token_rows({}, {1, 2}).log_probs.abs().sum().item<double>(), 0.0);
  EXPECT_THROW(detail::own_token_rows(scores, {1, 5, 4}), TeacherError);
}

}  // namespace
}  // namespace distill::teachers
