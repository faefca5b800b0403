#include <variant>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/load.h>
#include <distill/teachers/local_teacher.h>
#include <distill/types/teacher_tokens.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::teachers {
namespace {

TEST(LocalTeacher, GivesHiddenStatesAndHeadWithoutAGraph) {
  const std::shared_ptr<models::CausalLm> model =
      models::load_causal_lm(testing::tiny_llama("tied_llama3"), {.writable = true});
  // Even when its weights want gradients, because the student shares them.
  for (const auto& parameter : model->parameters()) parameter.tensor.requires_grad_(true);
  const auto teacher = make_local_teacher(model, "tiny");
  types::Batch batch;
  batch.input = types::pack({{1, 2, 3}, {4, 5}});
  const types::TeacherSignal signal = teacher->signal(batch);
  const auto& dense = std::get<types::DenseHidden>(signal);
  EXPECT_FALSE(dense.hidden.requires_grad());
  EXPECT_FALSE(dense.head.requires_grad());
  const auto output = model->forward(batch.input);
  EXPECT_TRUE(at::equal(dense.hidden, output.hidden));
  EXPECT_TRUE(at::equal(dense.head, output.head));
  EXPECT_EQ(dense.transform, output.transform);
}

TEST(LocalTeacher, ShowsItsInnerLayersWithoutAGraph) {
  const std::shared_ptr<models::CausalLm> model =
      models::load_causal_lm(testing::tiny_llama("tied_llama3"), {.writable = true});
  for (const auto& parameter : model->parameters()) parameter.tensor.requires_grad_(true);
  const auto teacher = make_local_teacher(model, "tiny");
  ASSERT_TRUE(teacher->layer_shape().has_value());
  EXPECT_EQ(teacher->layer_shape()->num_layers, model->shape().num_layers);
  EXPECT_EQ(teacher->layer_shape()->hidden_size, model->shape().hidden_size);
  types::Batch batch;
  batch.input = types::pack({{1, 2, 3}, {4, 5}});
  const types::LayerRequest wanted{.hidden = {0}, .attention = {1}};
  const SignalWithLayers answer = teacher->signal_with_layers(batch, wanted);
  const auto output = model->forward_with_layers(batch.input, wanted);
  EXPECT_TRUE(at::equal(std::get<types::DenseHidden>(answer.signal).hidden, output.hidden));
  ASSERT_EQ(answer.layers.hidden.size(), 1u);
  ASSERT_EQ(answer.layers.attention.size(), 1u);
  EXPECT_TRUE(at::equal(answer.layers.hidden.at(0), output.layers.hidden.at(0)));
  EXPECT_TRUE(at::equal(answer.layers.attention.at(1).q, output.layers.attention.at(1).q));
  EXPECT_FALSE(answer.layers.hidden.at(0).requires_grad());
  EXPECT_FALSE(answer.layers.attention.at(1).k.requires_grad());
}

TEST(LocalTeacher, WithAnotherTokenizerReadsItsOwnTokens) {
  const std::shared_ptr<models::CausalLm> model =
      models::load_causal_lm(testing::tiny_llama("tied_llama3"), {});
  const auto teacher = make_local_teacher(model, "tiny");
  types::TeacherTokens tokens;
  tokens.input = types::pack({{3, 2, 1}, {9, 8}});
  tokens.first_rows = at::zeros({1}, at::kLong);
  types::Batch batch;
  batch.input = types::pack({{1, 2}});
  batch.teacher_tokens = std::make_shared<types::TeacherTokens>(tokens);
  const types::TeacherSignal signal = teacher->signal(batch);
  const auto& answer = std::get<types::AlignedChunks>(signal);
  EXPECT_EQ(answer.tokens, batch.teacher_tokens);
  EXPECT_TRUE(at::equal(answer.hidden->hidden, model->forward(tokens.input).hidden));
  EXPECT_FALSE(answer.log_probs.defined());
  EXPECT_NE(testing::message_of<TeacherError>([&] {
              teacher->signal_with_layers(batch, {.hidden = {0}, .attention = {}});
            }).find("has another tokenizer than the student"),
            std::string::npos);
  // Without chunks it reads nothing.
  tokens.input = types::pack({});
  tokens.first_rows = at::zeros({0}, at::kLong);
  batch.teacher_tokens = std::make_shared<types::TeacherTokens>(tokens);
  const auto nothing = std::get<types::AlignedChunks>(teacher->signal(batch));
  EXPECT_EQ(nothing.log_probs.size(0), 0);
  EXPECT_EQ(nothing.hidden->hidden.size(0), 0);
}

class SilentTeacher final : public Teacher {
 public:
  types::TeacherSignal signal(const types::Batch&) override { return std::monostate(); }
  std::string describe() const override { return "cache x"; }
};

TEST(Teacher, ShowsNoInnerLayersUnlessItSaysSo) {
  SilentTeacher teacher;
  EXPECT_FALSE(teacher.layer_shape().has_value());
  EXPECT_TRUE(teacher.signal_with_layers({}, {}).layers.hidden.empty());
  EXPECT_EQ(testing::message_of<TeacherError>(
                [&] { teacher.signal_with_layers({}, {.hidden = {0}, .attention = {}}); }),
            "teacher `cache x` shows no inner layers, and the loss compares them");
}

TEST(LocalTeacher, DescribesItselfInOneLine) {
  const auto teacher = make_local_teacher(
      models::load_causal_lm(testing::tiny_llama("untied"), {.dtype = at::kBFloat16}), "models/X");
  EXPECT_EQ(teacher->describe(), "local models/X (0.0 M parameters, bf16)");
}

}  // namespace
}  // namespace distill::teachers
