#include "ops/cuda/rotary_rows.inl"
#include "ops/cuda/teams.inl"

namespace distill::ops::cuda {
namespace {

template <int kPack, class T>
__global__ void __launch_bounds__(kThreads)
    turn_kernel(const __grid_constant__ cpu::RotaryArgs<T> args, std::int64_t rows) {
  for_team<BlockTeam>(
      rows, [&](const BlockTeam& team, std::int64_t row) { rotary_row<kPack>(team, args, row); });
}

template <class T>
const char* turn(const cpu::RotaryArgs<T>& args, std::int64_t rows, void* stream) {
  const auto kernel = are_packed(args) ? &turn_kernel<kFullPack<T>, T> : &turn_kernel<1, T>;
  return start_teams<BlockTeam>(kernel, rows, 0, stream, args, rows);
}

template <class T>
constexpr RotaryKernels<T> kernels_of() {
  return {&turn<T>};
}

}  // namespace

const ByType<RotaryKernels>& rotary_kernels() {
  static constexpr ByType<RotaryKernels> kTable{kernels_of<float>(), kernels_of<Bf16>(),
                                                kernels_of<double>()};
  return kTable;
}

}  // namespace distill::ops::cuda
