#include "pipeline/repeatable.h"

#include <string>

#include <gtest/gtest.h>

#include <distill/ops/device.h>
#include <distill/pipeline/run.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

TEST(Run, AGpuComesWhereTheCpuDoes) {
  if (const auto reason = ops::why_no_cuda()) GTEST_SKIP() << *reason;
  for (const std::string precision : {"fp32", "bf16"}) {
    TinyRun on_cpu, on_gpu;
    const auto expected = on_cpu.run({"device=cpu", "precision=" + precision}).report.after;
    const auto got = on_gpu.run({"device=cuda", "precision=" + precision}).report.after;
    ASSERT_TRUE(expected && got);
    const double near = precision == "fp32" ? 1e-3 : 3e-2;
    EXPECT_NEAR(got->perplexity / expected->perplexity, 1.0, near);
  }
}

TEST(Run, OnAGpuGivesTheSameBitsAgain) {
  if (const auto reason = ops::why_no_cuda()) GTEST_SKIP() << *reason;
  for (const std::string precision : {"fp32", "bf16"}) {
    const auto weights = [&] {
      TinyRun tiny;
      tiny.run({"device=cuda", "precision=" + precision});
      return read(tiny.in_run("final/model.safetensors"));
    };
    EXPECT_TRUE(weights() == weights()) << precision;
  }
}

TEST(RepeatableScope, EndsAsItBegan) {
  const auto& context = at::globalContext();
  {
    const RepeatableScope scope;
    EXPECT_TRUE(context.deterministicAlgorithms());
    EXPECT_FALSE(context.deterministicAlgorithmsWarnOnly());
    EXPECT_FALSE(context.deterministicFillUninitializedMemory());
  }
  EXPECT_FALSE(context.deterministicAlgorithms());
  EXPECT_TRUE(context.deterministicFillUninitializedMemory());
}

}  // namespace
}  // namespace distill::pipeline::testing
