#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include "ops/cpu/isa.h"

/// What the operators share between a tensor and a kernel's raw pointers.
namespace distill::ops {

template <class T>
const T* read(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}

template <class T>
T* write(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

/// fp32, bf16 or fp64, of the CPU or a GPU.
inline void check_float(const at::Tensor& tensor, const char* op, const char* name) {
  TORCH_CHECK(tensor.defined(), op, ": `", name, "` is undefined, expected a tensor");
  const at::ScalarType type = tensor.scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16 || type == at::kDouble, op, ": `", name,
              "` is ", type, ", expected Float, BFloat16 or Double");
  TORCH_CHECK(tensor.is_cpu() || tensor.is_cuda(), op, ": `", name, "` is on ", tensor.device(),
              ", expected cpu or cuda");
}

inline void check_same_device(const at::Tensor& tensor, const at::Tensor& like, const char* op,
                              const char* name) {
  TORCH_CHECK(tensor.device() == like.device(), op, ": `", name, "` is on ", tensor.device(),
              ", expected ", like.device(), " as the first argument");
}

inline void check_same_type(const at::Tensor& tensor, const at::Tensor& like, const char* op,
                            const char* name) {
  check_float(tensor, op, name);
  TORCH_CHECK(tensor.scalar_type() == like.scalar_type(), op, ": `", name, "` is ",
              tensor.scalar_type(), ", expected ", like.scalar_type(), " as the first argument");
  check_same_device(tensor, like, op, name);
}

/// What statistics of `type` are kept in.
inline at::ScalarType accumulator_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

/// Calls body.template operator()<T>() with the kernels' type for fp32, bf16 or fp64.
template <class Body>
void with_kernel_type(at::ScalarType type, Body body) {
  if (type == at::kFloat) {
    body.template operator()<float>();
  } else if (type == at::kBFloat16) {
    body.template operator()<cpu::Bf16>();
  } else {
    body.template operator()<double>();
  }
}

/// Rows for one task: enough work to be worth a thread.
inline std::int64_t rows_per_task(std::int64_t width) {
  return std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, width));
}

/// False where nothing needs to be kept for a backward pass (a frozen model, NoGradGuard).
inline bool needs_graph(std::initializer_list<at::Tensor> inputs) {
  return at::GradMode::is_enabled() &&
         std::any_of(inputs.begin(), inputs.end(),
                     [](const at::Tensor& t) { return t.requires_grad(); });
}

/// Backward passes call raw kernels, which record no graph.
inline void refuse_second_derivative(const char* op) {
  TORCH_CHECK(!at::GradMode::is_enabled(), op,
              ": a second derivative was asked for (create_graph), the op has only a first");
}

}  // namespace distill::ops
