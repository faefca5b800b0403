#include <distill/ops/workspace.h>

#include <gtest/gtest.h>

#include <ATen/core/Tensor.h>

namespace distill::ops {
namespace {

TEST(Workspace, GivesTheSameMemoryAgain) {
  Workspace workspace;
  const void* first = workspace.take({3, 1000}, at::kFloat).const_data_ptr();
  const at::Tensor again = workspace.take({1500, 2}, at::kFloat);
  EXPECT_EQ(again.const_data_ptr(), first);
  EXPECT_EQ(again.sizes(), at::IntArrayRef({1500, 2}));
  EXPECT_TRUE(again.is_contiguous());
}

TEST(Workspace, NeverGivesWhatIsInUse) {
  Workspace workspace;
  const at::Tensor one = workspace.take({100}, at::kFloat);
  const at::Tensor view = one.narrow(0, 5, 3);
  const void* data = one.const_data_ptr();
  EXPECT_NE(workspace.take({100}, at::kFloat).const_data_ptr(), data);
  workspace.clear();
  EXPECT_NE(workspace.take({100}, at::kFloat).const_data_ptr(), data);
}

TEST(Workspace, OutlivedByItsTensors) {
  at::Tensor kept;
  {
    Workspace workspace;
    kept = workspace.take({8}, at::kDouble);
  }
  kept.fill_(1.5);
  EXPECT_EQ(kept.sum().item<double>(), 12.0);
  Workspace workspace;
  EXPECT_EQ(workspace.take({0, 4}, at::kFloat).numel(), 0);
}

}  // namespace
}  // namespace distill::ops
