#include "ops/cuda/embedding_rows.inl"
#include "ops/cuda/teams.inl"

namespace distill::ops::cuda {
namespace {

template <int kPack, class T>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const __grid_constant__ EmbeddingGradArgs<T> args) {
  for_team<BlockTeam>(args.count, [&](const BlockTeam& team, std::int64_t place) {
    embedding_grad_row<kPack>(team, args, place);
  });
}

template <class T>
const char* backward(const EmbeddingGradArgs<T>& args, void* stream) {
  const auto kernel = are_packed(args) ? &backward_kernel<kFullPack<T>, T> : &backward_kernel<1, T>;
  return start_teams<BlockTeam>(kernel, args.count, 0, stream, args);
}

template <class T>
constexpr EmbeddingKernels<T> kernels_of() {
  return {&backward<T>};
}

}  // namespace

const ByType<EmbeddingKernels>& embedding_kernels() {
  static constexpr ByType<EmbeddingKernels> kTable{kernels_of<float>(), kernels_of<Bf16>(),
                                                   kernels_of<double>()};
  return kTable;
}

}  // namespace distill::ops::cuda
