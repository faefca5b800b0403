// Products in bf16 through fp32, called directly: linear() takes them on CPUs without instructions
// for bf16, and this one may have some.
#include "ops/linear_widened.h"

#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "support/op_check.h"
#include "support/tolerance.h"

namespace distill::ops {
namespace {

constexpr double kRounded = 4e-3;  // once, to bf16

struct Shape {
  std::int64_t rows, in, out;
};
/// The last two are more than one slice of the weight.
const Shape kShapes[] = {{1, 1, 1}, {3, 7, 5}, {40, 576, 33}, {5, 2048, 2304}, {70, 4096, 1030}};

at::Tensor bf16(std::vector<std::int64_t> sizes, std::uint64_t seed) {
  return testing::normal(sizes, seed).to(at::kBFloat16);
}

at::Tensor fp64(const at::Tensor& t) {
  return t.to(at::kDouble);
}

void expect_near(const at::Tensor& got, const at::Tensor& exact, const Shape& s) {
  EXPECT_EQ(got.scalar_type(), at::kBFloat16);
  ASSERT_EQ(got.sizes(), exact.sizes());
  EXPECT_LE(testing::relative_error(got, exact), kRounded)
      << s.rows << " x " << s.in << " -> " << s.out;
}

TEST(LinearWidened, LikeFloat64) {
  for (const Shape& s : kShapes) {
    const at::Tensor x = bf16({s.rows, s.in}, 1), weight = bf16({s.out, s.in}, 2);
    const at::Tensor bias = bf16({s.out}, 3), grad = bf16({s.rows, s.out}, 4);
    expect_near(widened_forward(x, weight, bias), at::linear(fp64(x), fp64(weight), fp64(bias)), s);
    expect_near(widened_forward(x, weight, {}), at::mm(fp64(x), fp64(weight).t()), s);
    expect_near(widened_input_grad(grad, weight), at::mm(fp64(grad), fp64(weight)), s);
    expect_near(widened_weight_grad(grad, x), at::mm(fp64(grad).t(), fp64(x)), s);
  }
}

TEST(LinearWidened, TakesWhatIsNotDense) {
  const Shape s{6, 24, 10};
  const at::Tensor x = bf16({24, 12}, 1).t().slice(0, 0, 12, 2), weight = bf16({10, 60}, 2);
  const at::Tensor inner = weight.narrow(1, 7, 24), grad = bf16({1, 1}, 3).expand({6, 10});
  expect_near(widened_forward(x, inner, {}), at::mm(fp64(x), fp64(inner).t()), s);
  expect_near(widened_input_grad(grad, inner), at::mm(fp64(grad), fp64(inner)), s);
  expect_near(widened_weight_grad(grad, x), at::mm(fp64(grad).t(), fp64(x)), s);
}

TEST(LinearWidened, CodesToTheBitAsTheMatrixTheyStandFor) {
  for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kFp8, WeightFormat::kNf4}) {
    for (const Shape& s : {Shape{9, 66, 14}, Shape{4, 4096, 1026}}) {
      const QuantizedMatrix codes = quantize(bf16({s.out, s.in}, 5), format);
      const at::Tensor dense = dequantize(codes, at::kBFloat16);
      const at::Tensor x = bf16({s.rows, s.in}, 6), grad = bf16({s.rows, s.out}, 7);
      EXPECT_TRUE(at::equal(widened_forward(x, codes, {}), widened_forward(x, dense, {})));
      EXPECT_TRUE(at::equal(widened_input_grad(grad, codes), widened_input_grad(grad, dense)));
    }
  }
}

}  // namespace
}  // namespace distill::ops
