// The model's kernels for GPUs: by threads of the CPU against float64, and on a GPU where there is
// one.

#include <cmath>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include <ATen/Context.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <distill/ops/adamw.h>
#include <distill/ops/device.h>
#include <distill/ops/embedding.h>
#include <distill/ops/norm.h>
#include <distill/ops/rotary.h>
#include <distill/ops/swiglu.h>

#include "ops/adamw_body.h"
#include "ops/embedding_body.h"
#include "ops/norm_body.h"
#include "ops/rotary_body.h"
#include "ops/swiglu_body.h"
#include "support/host_model_kernels.h"
#include "support/op_check.h"
#include "support/torch_error.h"

namespace distill::ops {
namespace {

using testing::expect_like_oracle;
using testing::normal;
using testing::Op;
using testing::Tensors;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr double kEps = 1e-5;

enum class Where { kOneThread, kThreeThreads, kCuda };

MaybeQueue host_queue(Where where) {
  return where == Where::kOneThread ? testing::HostModelKernels<1>::queue()
                                    : testing::HostModelKernels<3>::queue();
}

// Operators on the host's threads; the public ones choose by where tensors lie.
/// Without `adds` there is no residual: an undefined tensor is no argument of a function.
struct HostNorm : Function<HostNorm> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x,
                               const at::Tensor& residual, const at::Tensor& weight, bool adds,
                               Where where) {
    ctx->saved_data["where"] = static_cast<std::int64_t>(where);
    const NormOutput out = norm_forward({x, adds ? residual : at::Tensor(), weight, kEps, true},
                                        host_queue(where), "norm");
    ctx->save_for_backward({adds ? out.sum : x, weight, out.rstd});
    if (!adds) return {out.normed};
    return {out.normed, out.sum};
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto where = static_cast<Where>(ctx->saved_data["where"].toInt());
    const bool adds = grads.size() > 1;
    NormGradInput in{saved[0], saved[1], saved[2], grads[0].contiguous(), {}};
    if (adds) in.grad_sum = grads[1].contiguous();
    const NormGradients out = norm_backward(in, host_queue(where), "norm");
    return {out.x, adds ? out.x : at::Tensor(), out.weight, at::Tensor(), at::Tensor()};
  }
};

struct HostRotary : Function<HostRotary> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin, Where where) {
    ctx->saved_data["where"] = static_cast<std::int64_t>(where);
    ctx->save_for_backward({cos, sin});
    return rotary_turn(x, cos, sin, 1, host_queue(where));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto where = static_cast<Where>(ctx->saved_data["where"].toInt());
    return {rotary_turn(grads[0], saved[0], saved[1], -1, host_queue(where)), at::Tensor(),
            at::Tensor(), at::Tensor()};
  }
};

struct HostSwiglu : Function<HostSwiglu> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up,
                            Where where) {
    ctx->saved_data["where"] = static_cast<std::int64_t>(where);
    ctx->save_for_backward({gate, up});
    return swiglu_forward(gate, up, gate.sizes(), host_queue(where));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto where = static_cast<Where>(ctx->saved_data["where"].toInt());
    const auto out =
        swiglu_backward(saved[0], saved[1], grads[0].contiguous(), {}, host_queue(where));
    return {out.gate, out.up, at::Tensor()};
  }
};

struct HostEmbedding : Function<HostEmbedding> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& weight, const at::Tensor& ids,
                            Where where) {
    ctx->saved_data["where"] = static_cast<std::int64_t>(where);
    ctx->saved_data["rows"] = weight.size(0);
    ctx->save_for_backward({ids});
    return weight.index_select(0, ids);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto where = static_cast<Where>(ctx->saved_data["where"].toInt());
    return {embedding_backward(grads[0].contiguous(), ctx->get_saved_variables()[0],
                               ctx->saved_data["rows"].toInt(), host_queue(where)),
            at::Tensor(), at::Tensor()};
  }
};

/// The operator with its arguments on the GPU and its results back.
Op on_cuda(const Op& op) {
  return [op](const Tensors& in) {
    Tensors moved, back;
    for (const at::Tensor& x : in) moved.push_back(x.to(at::kCUDA));
    for (const at::Tensor& y : op(moved)) back.push_back(y.to(at::kCPU));
    return back;
  };
}

class ModelKernels : public ::testing::TestWithParam<std::tuple<at::ScalarType, Where>> {
 protected:
  void SetUp() override {
    if (where() != Where::kCuda) return;
    if (const auto reason = why_no_cuda()) GTEST_SKIP() << *reason;
  }
  at::ScalarType type() const { return std::get<0>(GetParam()); }
  Where where() const { return std::get<1>(GetParam()); }
  Op chosen(const Op& host, const Op& op) const {
    return where() == Where::kCuda ? on_cuda(op) : host;
  }
};

at::Tensor plain_norm(const at::Tensor& x, const at::Tensor& weight) {
  return x * (x.square().mean(-1, true) + kEps).rsqrt() * weight;
}

// Widths that fill packs and others, for a warp and for a block.
TEST_P(ModelKernels, RmsNormIsLikeFloat64) {
  const Op op = chosen(
      [this](const Tensors& in) { return HostNorm::apply(in[0], in[0], in[1], false, where()); },
      [](const Tensors& in) -> Tensors { return {rms_norm(in[0], in[1], kEps)}; });
  const Op oracle = [](const Tensors& in) -> Tensors { return {plain_norm(in[0], in[1])}; };
  for (const std::int64_t width : {2, 3, 16, 63, 576, 1032, 1033}) {
    expect_like_oracle(op, oracle, {normal({11, width}, 1), normal({width}, 2)}, type());
  }
  expect_like_oracle(op, oracle, {normal({300, 8}, 1), normal({8}, 2)}, type());
  expect_like_oracle(op, oracle, {normal({5, 100}, 1, 1e4), normal({100}, 2)}, type());
}

TEST_P(ModelKernels, AddRmsNormIsLikeFloat64) {
  const Op op = chosen(
      [this](const Tensors& in) { return HostNorm::apply(in[0], in[1], in[2], true, where()); },
      [](const Tensors& in) -> Tensors {
        const auto [normed, sum] = add_rms_norm(in[0], in[1], in[2], kEps);
        return {normed, sum};
      });
  // In bf16 the sum is rounded before it is normalised.
  const Op oracle = [this](const Tensors& in) -> Tensors {
    const at::Tensor sum = in[0] + in[1];
    const at::Tensor seen = sum + (sum.detach().to(type()).to(at::kDouble) - sum.detach());
    return {plain_norm(seen, in[2]), sum};
  };
  for (const std::int64_t width : {3, 16, 576, 1032}) {
    expect_like_oracle(
        op, oracle, {normal({11, width}, 1), normal({11, width}, 3), normal({width}, 2)}, type());
  }
}

TEST_P(ModelKernels, RotaryIsLikeFloat64) {
  for (const std::int64_t half : {1, 3, 8, 16, 37}) {
    const at::Tensor angle = normal({7, half}, 77, 3.0);
    const at::Tensor cos = angle.cos().to(at::kFloat), sin = angle.sin().to(at::kFloat);
    const auto table = [this](const at::Tensor& t) {
      return type() == at::kDouble ? t.to(at::kDouble) : t;
    };
    const Op op = chosen(
        [&](const Tensors& in) -> Tensors {
          return {HostRotary::apply(in[0], table(cos), table(sin), where())};
        },
        [&](const Tensors& in) -> Tensors {
          return {rotary(in[0], cos.to(in[0].device()), sin.to(in[0].device()))};
        });
    const Op oracle = [&](const Tensors& in) -> Tensors {
      const at::Tensor c = cos.unsqueeze(1).to(at::kDouble), s = sin.unsqueeze(1).to(at::kDouble);
      const auto x = in[0].chunk(2, -1);
      return {at::cat({x[0] * c - x[1] * s, x[1] * c + x[0] * s}, -1)};
    };
    expect_like_oracle(op, oracle, {normal({7, 3, 2 * half}, 1)}, type());
    // Heads of a fused projection.
    const auto slice = [&](const Op& of) -> Op {
      return [&, of](const Tensors& in) {
        return of({in[0].narrow(1, 16, 6 * half).view({7, 3, 2 * half})});
      };
    };
    expect_like_oracle(slice(op), slice(oracle), {normal({7, 16 + 10 * half}, 4)}, type());
  }
}

TEST_P(ModelKernels, SwigluIsLikeFloat64) {
  const Op op = chosen(
      [this](const Tensors& in) -> Tensors { return {HostSwiglu::apply(in[0], in[1], where())}; },
      [](const Tensors& in) -> Tensors { return {swiglu(in[0], in[1])}; });
  const Op oracle = [](const Tensors& in) -> Tensors { return {at::silu(in[0]) * in[1]}; };
  for (const std::int64_t width : {1, 5, 16, 200}) {
    expect_like_oracle(op, oracle, {normal({9, width}, 1, 3.0), normal({9, width}, 2)}, type());
    const auto halves = [](const Op& of) -> Op {
      return [of](const Tensors& in) {
        const auto parts = in[0].chunk(2, -1);
        return of({parts[0], parts[1]});
      };
    };
    expect_like_oracle(halves(op), halves(oracle), {normal({9, 2 * width}, 5, 3.0)}, type());
  }
  // Far from zero there is no overflow on the way.
  expect_like_oracle(op, oracle, {normal({4, 40}, 1, 200.0), normal({4, 40}, 2)}, type());
}

TEST_P(ModelKernels, EmbeddingGradientIsLikeFloat64) {
  const at::Tensor ids = at::tensor({3, 0, 3, 3, 4, 0, 1}, at::kLong);
  const Op op = chosen(
      [&](const Tensors& in) -> Tensors { return {HostEmbedding::apply(in[0], ids, where())}; },
      [&](const Tensors& in) -> Tensors {
        return {ops::embedding(in[0], ids.to(in[0].device()))};
      });
  const Op oracle = [&](const Tensors& in) -> Tensors { return {at::embedding(in[0], ids)}; };
  for (const std::int64_t width : {1, 7, 8, 300}) {
    expect_like_oracle(op, oracle, {normal({6, width}, 1)}, type());
  }
}

// A sum has a fixed order.
TEST_P(ModelKernels, TwiceTheSameBits) {
  const Op op = chosen(
      [this](const Tensors& in) { return HostNorm::apply(in[0], in[1], in[2], true, where()); },
      [](const Tensors& in) -> Tensors {
        const auto [normed, sum] = add_rms_norm(in[0], in[1], in[2], kEps);
        return {normed, sum};
      });
  const Tensors inputs{normal({200, 40}, 1), normal({200, 40}, 2), normal({40}, 3)};
  const auto once = testing::evaluate(op, inputs, type());
  const auto again = testing::evaluate(op, inputs, type());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_TRUE(at::equal(once.gradients[i], again.gradients[i])) << i;
  }
}

/// One step of AdamW in float64.
Tensors plain_adamw(const Tensors& state, const at::Tensor& gradient, const AdamWStep& o) {
  const at::Tensor g = gradient * o.gradient_scale;
  const at::Tensor m = state[1] * o.beta1 + g * (1 - o.beta1);
  const at::Tensor v = state[2] * o.beta2 + g * g * (1 - o.beta2);
  const auto steps = static_cast<double>(o.step);
  const at::Tensor ratio =
      m / (1 - std::pow(o.beta1, steps)) / ((v / (1 - std::pow(o.beta2, steps))).sqrt() + o.eps);
  return {state[0] - (ratio + state[0] * o.weight_decay) * o.lr, m, v};
}

TEST_P(ModelKernels, AdamWIsLikeFloat64) {
  if (type() == at::kDouble) GTEST_SKIP() << "gradients are fp32 or bf16";
  const AdamWStep options{0.01, 0.9, 0.95, 1e-8, 0.1, 0.5, 3};
  const at::Device device = where() == Where::kCuda ? at::kCUDA : at::kCPU;
  // Whole packs, a rest, several stretches, and tensors that begin anywhere.
  for (const std::int64_t count : {1, 4, 7, 9001, 16384}) {
    for (const std::int64_t offset : {0, 1}) {
      const auto made = [&](std::uint64_t seed, at::ScalarType as) {
        return normal({count + offset}, seed).to(as).narrow(0, offset, count);
      };
      const Tensors state{made(1, at::kFloat), made(2, at::kFloat), made(3, at::kFloat).square()};
      const at::Tensor gradient = made(4, type());
      const Tensors expected = plain_adamw(
          {state[0].to(at::kDouble), state[1].to(at::kDouble), state[2].to(at::kDouble)},
          gradient.to(at::kDouble), options);
      const auto copied = [&](const at::Tensor& x) { return x.to(device); };
      const AdamWTensors t{copied(state[0]), copied(at::zeros({count}, at::kBFloat16)),
                           copied(gradient), copied(state[1]), copied(state[2])};
      if (where() == Where::kCuda) {
        adamw_step_(t.master, t.compute, t.gradient, t.exp_avg, t.exp_avg_sq, options);
      } else {
        adamw_update(t, options, host_queue(where()));
      }
      const double near = testing::tolerance(at::kFloat);
      testing::expect_close(t.master.cpu().to(at::kDouble), expected[0], near, "weights");
      testing::expect_close(t.exp_avg.cpu().to(at::kDouble), expected[1], near, "exp_avg");
      testing::expect_close(t.exp_avg_sq.cpu().to(at::kDouble), expected[2], near, "exp_avg_sq");
      EXPECT_TRUE(at::equal(t.compute.cpu(), t.master.cpu().to(at::kBFloat16)));
    }
  }
}

TEST_P(ModelKernels, SumOfSquaresIsThatOfDouble) {
  if (type() == at::kDouble) GTEST_SKIP() << "gradients are fp32 or bf16";
  const at::Device device = where() == Where::kCuda ? at::kCUDA : at::kCPU;
  Tensors tensors;
  double expected = 0;
  for (const std::int64_t count : {0, 1, 17, 9001, 20000}) {
    const at::Tensor x = normal({count + 1}, 6).to(type()).narrow(0, 1, count);
    expected += x.to(at::kDouble).square().sum().item<double>();
    tensors.push_back(x.to(device));
  }
  // Its square is no fp32 number.
  tensors.push_back(at::full({3}, 1e25, at::TensorOptions(type()).device(device)));
  expected += 3 * std::pow(tensors.back()[0].to(at::kDouble).item<double>(), 2);
  const double got = where() == Where::kCuda ? sum_of_squares(tensors)
                                             : total_of_squares(tensors, host_queue(where()));
  EXPECT_NEAR(got / expected, 1.0, 1e-12);
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<at::ScalarType, Where>>& info) {
  constexpr const char* kPlaces[] = {"_one_thread", "_three_threads", "_cuda"};
  return std::string(c10::toString(std::get<0>(info.param))) +
         kPlaces[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, ModelKernels,
    ::testing::Combine(::testing::Values(at::kFloat, at::kBFloat16, at::kDouble),
                       ::testing::Values(Where::kOneThread, Where::kThreeThreads, Where::kCuda)),
    case_name);

TEST(CudaQueue, ABuildWithoutCudaSaysSo) {
  if (has_cuda_kernels()) GTEST_SKIP() << "this build has CUDA";
  const std::string message =
      testing::torch_error_of([] { cuda_queue(at::Device(at::kCUDA, 0), "rms_norm"); });
  EXPECT_EQ(
      message,
      "rms_norm: tensors are on cuda:0 and this build of libdistill has no CUDA; move them to "
      "the CPU, or build with -DDISTILL_CUDA=ON and a LibTorch that has CUDA");
}

TEST(Device, WhyThereIsNoCuda) {
  const auto reason = why_no_cuda();
  EXPECT_EQ(reason.has_value(), !(at::hasCUDA() && has_cuda_kernels()));
  if (!at::globalContext().hasCUDART()) {
    EXPECT_EQ(reason.value_or(""),
              "this LibTorch has no CUDA; build with a LibTorch for CUDA and nvcc");
  }
}

TEST(OtherDevices, AreRefusedByName) {
  const at::Tensor x = normal({2, 4}, 1), weight = normal({4}, 2);
  EXPECT_EQ(testing::torch_error_of([&] { rms_norm(x.to(at::kMeta), weight.to(at::kMeta), kEps); }),
            "rms_norm: `x` is on meta, expected cpu or cuda");
}

}  // namespace
}  // namespace distill::ops
