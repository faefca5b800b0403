#include <variant>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <distill/models/load.h>
#include <distill/teachers/local_teacher.h>

#include "support/model_folders.h"

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

TEST(LocalTeacher, DescribesItselfInOneLine) {
  const auto teacher = make_local_teacher(
      models::load_causal_lm(testing::tiny_llama("untied"), {.dtype = at::kBFloat16}), "models/X");
  EXPECT_EQ(teacher->describe(), "local models/X (0.0 M parameters, bf16)");
}

}  // namespace
}  // namespace distill::teachers
