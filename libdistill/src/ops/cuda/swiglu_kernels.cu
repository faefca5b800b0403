#include "ops/cuda/swiglu_rows.inl"
#include "ops/cuda/teams.inl"

namespace distill::ops::cuda {
namespace {

template <int kPack, class T>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const __grid_constant__ cpu::SwigluArgs<T> args, std::int64_t rows) {
  for_team<BlockTeam>(
      rows, [&](const BlockTeam& team, std::int64_t row) { swiglu_row<kPack>(team, args, row); });
}

template <int kPack, class T>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const __grid_constant__ cpu::SwigluArgs<T> args, std::int64_t rows) {
  for_team<BlockTeam>(rows, [&](const BlockTeam& team, std::int64_t row) {
    swiglu_grad_row<kPack>(team, args, row);
  });
}

template <class T>
const char* forward(const cpu::SwigluArgs<T>& args, std::int64_t rows, void* stream) {
  const auto kernel = are_packed(args) ? &forward_kernel<kFullPack<T>, T> : &forward_kernel<1, T>;
  return start_teams<BlockTeam>(kernel, rows, 0, stream, args, rows);
}

template <class T>
const char* backward(const cpu::SwigluArgs<T>& args, std::int64_t rows, void* stream) {
  const auto kernel = are_packed(args) ? &backward_kernel<kFullPack<T>, T> : &backward_kernel<1, T>;
  return start_teams<BlockTeam>(kernel, rows, 0, stream, args, rows);
}

template <class T>
constexpr SwigluKernels<T> kernels_of() {
  return {&forward<T>, &backward<T>};
}

}  // namespace

const ByType<SwigluKernels>& swiglu_kernels() {
  static constexpr ByType<SwigluKernels> kTable{kernels_of<float>(), kernels_of<Bf16>(),
                                                kernels_of<double>()};
  return kTable;
}

}  // namespace distill::ops::cuda
