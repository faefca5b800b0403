#include "ops/cuda/norm_rows.inl"
#include "ops/cuda/teams.inl"

namespace distill::ops::cuda {
namespace {

/// Rows up to so many elements are left to a warp.
constexpr std::int64_t kWarpRow = 1024;
/// Of a block without asking for more.
constexpr std::int64_t kSharedBytes = std::int64_t{48} << 10;

template <class Team, int kPack, class T>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const __grid_constant__ cpu::RmsNormArgs<T> args, std::int64_t rows) {
  for_team<Team>(rows,
                 [&](const Team& team, std::int64_t row) { rms_norm_row<kPack>(team, args, row); });
}

/// `shared`: there is room for each team's sums.
template <class Team, int kPack, class T>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const __grid_constant__ cpu::RmsNormGradArgs<T> args,
                    const __grid_constant__ RowParts parts, bool shared) {
  extern __shared__ float4 memory[];
  for_team<Team>(parts.count(), [&](const Team& team, std::int64_t part) {
    auto* scratch = reinterpret_cast<Accumulator<T>*>(memory) + Team::place_in_block() * args.width;
    rms_norm_grad_part<kPack>(team, args, parts, part, shared ? scratch : nullptr);
  });
}

template <class Team, int kPack, class T>
const char* start_forward(const cpu::RmsNormArgs<T>& args, std::int64_t rows, void* stream) {
  return start_teams<Team>(&forward_kernel<Team, kPack, T>, rows, 0, stream, args, rows);
}

template <class Team, int kPack, class T>
const char* start_backward(const cpu::RmsNormGradArgs<T>& args, const RowParts& parts,
                           void* stream) {
  const auto bytes = args.width * static_cast<std::int64_t>(sizeof(Accumulator<T>));
  const bool shared = args.grad_weight != nullptr && bytes * Team::kInBlock <= kSharedBytes;
  return start_teams<Team>(&backward_kernel<Team, kPack, T>, parts.count(), shared ? bytes : 0,
                           stream, args, parts, shared);
}

template <class T>
const char* forward(const cpu::RmsNormArgs<T>& args, std::int64_t rows, void* stream) {
  constexpr int kFull = kFullPack<T>;
  const bool packed = are_packed(args);
  if (args.width <= kWarpRow) {
    return packed ? start_forward<WarpTeam, kFull>(args, rows, stream)
                  : start_forward<WarpTeam, 1>(args, rows, stream);
  }
  return packed ? start_forward<BlockTeam, kFull>(args, rows, stream)
                : start_forward<BlockTeam, 1>(args, rows, stream);
}

template <class T>
const char* backward(const cpu::RmsNormGradArgs<T>& args, const RowParts& parts, void* stream) {
  constexpr int kFull = kFullPack<T>;
  const bool packed = are_packed(args);
  if (args.width <= kWarpRow) {
    return packed ? start_backward<WarpTeam, kFull>(args, parts, stream)
                  : start_backward<WarpTeam, 1>(args, parts, stream);
  }
  return packed ? start_backward<BlockTeam, kFull>(args, parts, stream)
                : start_backward<BlockTeam, 1>(args, parts, stream);
}

template <class T>
constexpr NormKernels<T> kernels_of() {
  return {&forward<T>, &backward<T>};
}

}  // namespace

const ByType<NormKernels>& norm_kernels() {
  static constexpr ByType<NormKernels> kTable{kernels_of<float>(), kernels_of<Bf16>(),
                                              kernels_of<double>()};
  return kTable;
}

}  // namespace distill::ops::cuda
