#include "ops/cuda/adamw_elements.inl"
#include "ops/cuda/teams.inl"

namespace distill::ops::cuda {
namespace {

template <int kPack, class G>
__global__ void __launch_bounds__(kThreads)
    step_kernel(const __grid_constant__ cpu::AdamWArgs<G> args, std::int64_t count) {
  for_team<BlockTeam>(num_stretches(count), [&](const BlockTeam& team, std::int64_t stretch) {
    adamw_stretch<kPack>(team, args, count, stretch);
  });
}

template <int kPack, class T>
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const T* x, std::int64_t count, double* parts) {
  for_team<BlockTeam>(num_stretches(count), [&](const BlockTeam& team, std::int64_t stretch) {
    squares_stretch<kPack>(team, x, count, stretch, parts);
  });
}

template <class G>
const char* step(const cpu::AdamWArgs<G>& args, std::int64_t count, void* stream) {
  const auto kernel = are_packed(args) ? &step_kernel<4, G> : &step_kernel<1, G>;
  return start_teams<BlockTeam>(kernel, num_stretches(count), 0, stream, args, count);
}

template <class T>
const char* squares(const T* x, std::int64_t count, double* parts, void* stream) {
  const auto kernel = is_packed(x) ? &squares_kernel<kFullPack<T>, T> : &squares_kernel<1, T>;
  return start_teams<BlockTeam>(kernel, num_stretches(count), 0, stream, x, count, parts);
}

template <class G>
constexpr AdamWKernels<G> kernels_of() {
  return {&step<G>, &squares<G>};
}

}  // namespace

const AdamWTable& adamw_kernels() {
  static constexpr AdamWTable kTable{kernels_of<float>(), kernels_of<Bf16>()};
  return kTable;
}

}  // namespace distill::ops::cuda
