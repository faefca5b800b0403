#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/ops/device.h>
#include <distill/recipe/options.h>

namespace distill::recipe {
namespace {

TEST(ChooseDevice, TheCpuIsAlwaysThere) {
  EXPECT_TRUE(choose_device(Device::kCpu).is_cpu());
}

TEST(ChooseDevice, AutoIsAGpuWhereOneCanBeUsed) {
  EXPECT_EQ(choose_device(Device::kAuto).is_cuda(), !ops::why_no_cuda());
}

TEST(ChooseDevice, CudaIsRefusedWithTheReason) {
  const auto reason = ops::why_no_cuda();
  if (!reason) GTEST_SKIP() << "a GPU can be used here";
  try {
    choose_device(Device::kCuda);
    FAIL() << "nothing was thrown";
  } catch (const UnsupportedError& error) {
    EXPECT_EQ(std::string(error.what()), "device: `cuda`, but " + *reason + ", or use `cpu`");
  }
}

}  // namespace
}  // namespace distill::recipe
