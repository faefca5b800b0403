#pragma once

#include <vector>

#include "ops/cuda/adamw_elements.inl"
#include "ops/cuda/embedding_rows.inl"
#include "ops/cuda/norm_rows.inl"
#include "ops/cuda/rotary_rows.inl"
#include "ops/cuda/swiglu_rows.inl"
#include "ops/device_queue.h"
#include "support/host_blocks.h"

/// The model's kernels that are written for a GPU's teams of threads, run by threads of the CPU.
namespace distill::testing {

template <int Threads>
class HostModelKernels {
 public:
  static ops::MaybeQueue queue() {
    static const ops::cuda::ModelKernels kKernels{kNorm, kRotary, kSwiglu, kEmbedding, kAdamW};
    return ops::DeviceQueue{kKernels, nullptr};
  }

 private:
  using Bf16 = ops::cpu::Bf16;

  /// Runs body<pack>(team, row) for each row.
  template <class T, class Args, class Body>
  static const char* run(const Args& args, std::int64_t rows, Body body) {
    const bool packed = ops::cuda::are_packed(args);
    return HostKernels<Threads>::for_rows(rows, [&](HostBlock& team, std::int64_t row) {
      if (packed) {
        body.template operator()<ops::cuda::kFullPack<T>>(team, row);
      } else {
        body.template operator()<1>(team, row);
      }
    });
  }

  template <class T>
  static const char* norm(const ops::cpu::RmsNormArgs<T>& args, std::int64_t rows, void*) {
    return run<T>(args, rows, [&]<int kPack>(HostBlock& team, std::int64_t row) {
      ops::cuda::rms_norm_row<kPack>(team, args, row);
    });
  }
  /// With one thread the sums are formed in place, with several in scratch memory.
  template <class T>
  static const char* norm_grad(const ops::cpu::RmsNormGradArgs<T>& args,
                               const ops::cuda::RowParts& parts, void*) {
    std::vector<ops::cpu::Accumulator<T>> scratch(static_cast<std::size_t>(args.width), 7);
    auto* place = Threads > 1 ? scratch.data() : nullptr;
    return run<T>(args, parts.count(), [&]<int kPack>(HostBlock& team, std::int64_t part) {
      ops::cuda::rms_norm_grad_part<kPack>(team, args, parts, part, place);
    });
  }
  template <class T>
  static const char* rotary(const ops::cpu::RotaryArgs<T>& args, std::int64_t rows, void*) {
    return run<T>(args, rows, [&]<int kPack>(HostBlock& team, std::int64_t row) {
      ops::cuda::rotary_row<kPack>(team, args, row);
    });
  }
  template <class T>
  static const char* swiglu(const ops::cpu::SwigluArgs<T>& args, std::int64_t rows, void*) {
    return run<T>(args, rows, [&]<int kPack>(HostBlock& team, std::int64_t row) {
      ops::cuda::swiglu_row<kPack>(team, args, row);
    });
  }
  template <class T>
  static const char* swiglu_grad(const ops::cpu::SwigluArgs<T>& args, std::int64_t rows, void*) {
    return run<T>(args, rows, [&]<int kPack>(HostBlock& team, std::int64_t row) {
      ops::cuda::swiglu_grad_row<kPack>(team, args, row);
    });
  }
  template <class T>
  static const char* embedding_grad(const ops::cuda::EmbeddingGradArgs<T>& args, void*) {
    return run<T>(args, args.count, [&]<int kPack>(HostBlock& team, std::int64_t place) {
      ops::cuda::embedding_grad_row<kPack>(team, args, place);
    });
  }
  template <class G>
  static const char* adamw(const ops::cpu::AdamWArgs<G>& args, std::int64_t count, void*) {
    const bool packed = ops::cuda::are_packed(args);
    return HostKernels<Threads>::for_rows(
        ops::cuda::num_stretches(count), [&](HostBlock& team, std::int64_t stretch) {
          if (packed) {
            ops::cuda::adamw_stretch<4>(team, args, count, stretch);
          } else {
            ops::cuda::adamw_stretch<1>(team, args, count, stretch);
          }
        });
  }
  template <class T>
  static const char* squares(const T* x, std::int64_t count, double* parts, void*) {
    const bool packed = ops::cuda::is_packed(x);
    return HostKernels<Threads>::for_rows(
        ops::cuda::num_stretches(count), [&](HostBlock& team, std::int64_t stretch) {
          if (packed) {
            ops::cuda::squares_stretch<ops::cuda::kFullPack<T>>(team, x, count, stretch, parts);
          } else {
            ops::cuda::squares_stretch<1>(team, x, count, stretch, parts);
          }
        });
  }

  template <class T>
  static constexpr ops::cuda::NormKernels<T> norm_of{&norm<T>, &norm_grad<T>};
  template <class T>
  static constexpr ops::cuda::SwigluKernels<T> swiglu_of{&swiglu<T>, &swiglu_grad<T>};

  static constexpr ops::cuda::ByType<ops::cuda::NormKernels> kNorm{norm_of<float>, norm_of<Bf16>,
                                                                   norm_of<double>};
  static constexpr ops::cuda::ByType<ops::cuda::RotaryKernels> kRotary{
      {&rotary<float>}, {&rotary<Bf16>}, {&rotary<double>}};
  static constexpr ops::cuda::ByType<ops::cuda::SwigluKernels> kSwiglu{
      swiglu_of<float>, swiglu_of<Bf16>, swiglu_of<double>};
  static constexpr ops::cuda::ByType<ops::cuda::EmbeddingKernels> kEmbedding{
      {&embedding_grad<float>}, {&embedding_grad<Bf16>}, {&embedding_grad<double>}};
  static constexpr ops::cuda::AdamWTable kAdamW{{&adamw<float>, &squares<float>},
                                                {&adamw<Bf16>, &squares<Bf16>}};
};

}  // namespace distill::testing
