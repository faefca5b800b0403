// Products with weights in few bits: to the bit those with the matrix that stands for them.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <distill/ops/linear.h>
#include <distill/ops/low_rank_linear.h>

#include "support/op_check.h"

namespace distill::ops {
namespace {

constexpr WeightFormat kFormats[] = {WeightFormat::kInt8, WeightFormat::kFp8, WeightFormat::kNf4};

struct Shape {
  std::int64_t rows, in, out;
};
const Shape kShapes[] = {{1, 64, 32},   {5, 7, 9},      {40, 576, 192}, {70, 66, 300}, {0, 8, 6},
                         {65, 130, 34}, {300, 96, 258}, {3, 2, 2},      {33, 320, 1}};

struct Operands {
  Operands(const Shape& s, at::ScalarType type, WeightFormat format)
      : x(testing::normal({s.rows, s.in}, 1).to(type)),
        bias(testing::normal({s.out}, 2).to(type)),
        a(testing::normal({4, s.in}, 3, 0.1).to(at::kFloat)),
        b(testing::normal({s.out, 4}, 4, 0.3).to(at::kFloat)),
        slope(testing::normal({s.rows, s.out}, 5).to(type)),
        codes(quantize(testing::normal({s.out, s.in}, 6, 0.1).to(type), format)),
        dense(dequantize(codes, type)) {}
  at::Tensor x, bias, a, b, slope;
  QuantizedMatrix codes;
  at::Tensor dense;
};

/// `form` of leaves x, A and B, and their gradients.
template <class Form>
std::vector<at::Tensor> evaluated(const Operands& of, Form form) {
  const at::Tensor x = of.x.clone().requires_grad_(true), a = of.a.clone().requires_grad_(true),
                   b = of.b.clone().requires_grad_(true);
  const at::Tensor out = form(x, a, b);
  out.backward(of.slope);
  std::vector<at::Tensor> all = {out.detach()};
  for (const at::Tensor& leaf : {x, a, b}) {
    if (leaf.grad().defined()) all.push_back(leaf.grad());
  }
  return all;
}

void expect_same(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& expected,
                 const Shape& s, const char* what) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].scalar_type(), expected[i].scalar_type());
    EXPECT_TRUE(at::equal(got[i], expected[i]))
        << what << " " << i << " of " << s.rows << " x " << s.in << " -> " << s.out;
  }
}

TEST(QuantizedLinear, ToTheBitAsTheMatrixItStandsFor) {
  for (const WeightFormat format : kFormats) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const Shape& s : kShapes) {
        const Operands of(s, type, format);
        for (const at::Tensor& bias : {of.bias, at::Tensor()}) {
          const auto with = [&](const auto& weight) {
            return evaluated(of, [&](const at::Tensor& x, const at::Tensor&, const at::Tensor&) {
              return linear(x, weight, bias);
            });
          };
          expect_same(with(of.codes), with(of.dense), s, "linear");
          EXPECT_TRUE(at::equal(linear(of.x, of.codes, bias), linear(of.x, of.dense, bias)));
        }
      }
    }
  }
}

TEST(QuantizedLinear, WithALowRankChangeToo) {
  for (const WeightFormat format : kFormats) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const Shape& s : kShapes) {
        const Operands of(s, type, format);
        for (const Dropout& dropout : {Dropout{}, Dropout{0.25, 9}}) {
          const auto with = [&](const auto& weight) {
            return evaluated(of,
                             [&](const at::Tensor& x, const at::Tensor& a, const at::Tensor& b) {
                               return low_rank_linear(x, weight, of.bias, {a, b, 0.5, dropout});
                             });
          };
          expect_same(with(of.codes), with(of.dense), s, "low_rank_linear");
        }
      }
    }
  }
}

TEST(QuantizedLinear, GenerationToo) {
  const c10::InferenceMode generating;
  for (const WeightFormat format : kFormats) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const Shape& s : kShapes) {
        const Operands of(s, type, format);
        EXPECT_TRUE(at::equal(linear(of.x, of.codes, of.bias), linear(of.x, of.dense, of.bias)));
        const LowRank change{of.a, of.b, 0.5, {}};
        EXPECT_TRUE(at::equal(low_rank_linear(of.x, of.codes, of.bias, change),
                              low_rank_linear(of.x, of.dense, of.bias, change)));
      }
    }
  }
}

TEST(QuantizedLinear, ThreadsChangeNoBit) {
  const Shape s{700, 576, 770};
  const int threads = at::get_num_threads();
  for (const WeightFormat format : kFormats) {
    const Operands of(s, at::kBFloat16, format);
    const auto with = [&](int count) {
      at::set_num_threads(count);
      return evaluated(of, [&](const at::Tensor& x, const at::Tensor& a, const at::Tensor& b) {
        return low_rank_linear(x, of.codes, {}, {a, b, 0.5, {}});
      });
    };
    expect_same(with(3), with(1), s, "threads");
  }
  at::set_num_threads(threads);
}

// In fp64 the codes stand for constants like any.
TEST(QuantizedLinear, GradientsLikeDifferences) {
  for (const WeightFormat format : kFormats) {
    const QuantizedMatrix codes = quantize(testing::normal({6, 4}, 1).to(at::kFloat), format);
    const testing::Op op = [&](const testing::Tensors& t) -> testing::Tensors {
      return {low_rank_linear(t[0], codes, {}, {t[1], t[2], 0.5, {}})};
    };
    testing::expect_gradients_like_differences(
        op, {testing::normal({3, 4}, 2), testing::normal({2, 4}, 3), testing::normal({6, 2}, 4)});
  }
}

TEST(QuantizedLinear, TheGraphKeepsNoDenseCopy) {
  const Operands of({40, 512, 256}, at::kBFloat16, WeightFormat::kNf4);
  const at::Tensor x = of.x.clone().requires_grad_(true);
  const auto codes_held = of.codes.codes.use_count();
  const at::Tensor out = linear(x, of.codes, {});
  EXPECT_GT(of.codes.codes.use_count(), codes_held);
  EXPECT_NE(out.grad_fn()->name().find("LinearWithCodes"), std::string::npos);
}

TEST(QuantizedLinear, RefusesWhatDoesNotFit) {
  const Operands of({4, 8, 6}, at::kFloat, WeightFormat::kInt8);
  EXPECT_THROW(linear(of.x.narrow(1, 0, 7), of.codes, {}), c10::Error);
  EXPECT_THROW(linear(of.x[0], of.codes, {}), c10::Error);
  EXPECT_THROW(linear(of.x, of.codes, of.bias.clone().requires_grad_(true)), c10::Error);
  EXPECT_THROW(low_rank_linear(of.x.narrow(1, 0, 7), of.codes, {}, {of.a, of.b}), c10::Error);
  EXPECT_THROW(low_rank_linear(of.x, of.codes, {}, {of.a.t(), of.b}), c10::Error);
  const at::Tensor x = of.x.clone().requires_grad_(true);
  const at::Tensor out = linear(x, of.codes, {}).square().sum();
  EXPECT_THROW(torch::autograd::grad({out}, {x}, {}, true, true), c10::Error);
}

}  // namespace
}  // namespace distill::ops
