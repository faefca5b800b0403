#include <limits>

#include <ATen/ops/empty.h>

#include "ops/attention_operands.h"
#include "ops/cpu/isa.h"
#include "ops/kernel_call.h"

// Dao 2023 (FlashAttention-2) on blocks that fit a core's cache. The heads of a group lie side by
// side as rows of one product, so that their keys and values are packed and read once for all.

namespace distill::ops {
namespace {

using cpu::Bf16;

class Forward {
 public:
  explicit Forward(const AttentionProblem& problem)
      : sizes_(problem),
        window_(problem.options.window),
        blocks_(cut_attention(problem)),
        q_(problem.q),
        k_(problem.k),
        v_(problem.v) {
    const std::int64_t tokens = problem.q.size(0);
    const auto options = problem.q.options();
    result_.output = at::empty({tokens, sizes_.heads, sizes_.value}, options);
    result_.log_sums = at::empty({tokens, sizes_.heads}, options.dtype(at::kFloat));
    const std::int64_t rows = sizes_.kv_heads * blocks_.packed_rows;
    keys_ = at::empty({rows, sizes_.key}, options);
    values_ = at::empty({rows, sizes_.value}, options);
  }

  AttentionResult run() {
    const std::int64_t heads = sizes_.kv_heads;
    share_tasks(std::ssize(blocks_.keys) * heads, copy_work(), [&](const auto& claim) {
      for (std::int64_t task; (task = claim()) >= 0;) pack(task / heads, task % heads);
    });
    const std::int64_t num_queries = std::ssize(blocks_.queries);
    share_tasks(num_queries * heads, blocks_.num_scores * sizes_.heads, [&](const auto& claim) {
      Scratch scratch(blocks_.tokens, sizes_);
      // The last query blocks of a segment, which see most, come first.
      for (std::int64_t task; (task = claim()) >= 0;) {
        attend(num_queries - 1 - task / heads, task % heads, scratch);
      }
    });
    return result_;
  }

 private:
  struct Scratch {
    Scratch(std::int64_t tokens, const AttentionSizes& sizes)
        : rows(padded_query_rows(tokens, sizes.group)),
          queries(bf16_scratch(rows * sizes.key)),
          probabilities(bf16_scratch(rows * kKeysPerBlock)),
          scores(float_scratch(rows * kKeysPerBlock)),
          output(float_scratch(rows * sizes.value)),
          maxima(float_scratch(rows)),
          sums(float_scratch(rows)),
          log_sums(float_scratch(rows)) {}
    std::int64_t rows;
    std::vector<Bf16> queries, probabilities;
    std::vector<float> scores, output, maxima, sums, log_sums;
  };

  /// A number that is only copied is worth about an eighth of a score.
  std::int64_t copy_work() const { return (keys_.numel() + values_.numel()) / 8; }

  const KeyBlock& key_block(std::int64_t block) const {
    return blocks_.keys[static_cast<std::size_t>(block)];
  }
  Bf16* packed(const at::Tensor& of, const KeyBlock& block, std::int64_t head) const {
    return write<Bf16>(of) + (head * blocks_.packed_rows + block.packed) * of.size(1);
  }

  void pack(std::int64_t block, std::int64_t head) const {
    const KeyBlock& keys = key_block(block);
    pack_transposed(k_, keys, head, packed(keys_, keys, head));
    pack_pairs(v_, keys, head, packed(values_, keys, head));
  }

  void attend(std::int64_t block, std::int64_t head, Scratch& s) const {
    const QueryBlock& queries = blocks_.queries[static_cast<std::size_t>(block)];
    gather_rows(q_, queries, sizes_, head, s.queries.data());
    std::fill(s.maxima.begin(), s.maxima.end(), -std::numeric_limits<float>::infinity());
    std::fill(s.sums.begin(), s.sums.end(), 0.0F);
    for (std::int64_t key = queries.first_key; key < queries.end_key; ++key) {
      add_block(queries, key_block(key), head, key == queries.first_key, s);
    }
    store(queries, head, s);
  }

  void add_block(const QueryBlock& queries, const KeyBlock& keys, std::int64_t head, bool first,
                 Scratch& s) const {
    const std::int64_t rows = padded_query_rows(queries.count, sizes_.group);
    const std::int64_t columns = columns_seen(queries, keys);
    brgemm({rows, columns, sizes_.key, sizes_.key, keys.width, kKeysPerBlock, false},
           s.queries.data(), packed(keys_, keys, head), s.scores.data());
    cpu::AttentionSoftmaxArgs softmax;
    softmax.scores = s.scores.data();
    softmax.stride = kKeysPerBlock;
    softmax.rows = queries.count * sizes_.group;
    softmax.columns = columns;
    softmax.seen = {queries.begin - keys.begin, sizes_.group, window_};
    softmax.scale = sizes_.scale_to_base_2;
    softmax.maxima = s.maxima.data();
    softmax.sums = s.sums.data();
    softmax.output = first ? nullptr : s.output.data();
    softmax.probabilities = s.probabilities.data();
    softmax.value_size = sizes_.value;
    kernels_.softmax(softmax);
    brgemm({rows, sizes_.value, columns, kKeysPerBlock, sizes_.value, sizes_.value, !first},
           s.probabilities.data(), packed(values_, keys, head), s.output.data());
  }

  void store(const QueryBlock& queries, std::int64_t head, Scratch& s) const {
    cpu::kernels().log(s.sums.data(), s.log_sums.data(), queries.count * sizes_.group);
    auto* output = write<Bf16>(result_.output);
    auto* log_sums = write<float>(result_.log_sums);
    for (std::int64_t row = 0; row < queries.count * sizes_.group; ++row) {
      const auto i = static_cast<std::size_t>(row);
      const std::int64_t to = (queries.row + row / sizes_.group) * sizes_.heads +
                              head * sizes_.group + row % sizes_.group;
      kernels_.scale_to_bf16(s.output.data() + row * sizes_.value, 1.0F / s.sums[i],
                             output + to * sizes_.value, sizes_.value);
      log_sums[to] = s.maxima[i] + s.log_sums[i] * std::numbers::log2e_v<float>;
    }
  }

  AttentionSizes sizes_;
  std::int64_t window_;
  AttentionBlocks blocks_;
  HeadRows q_, k_, v_;
  const cpu::AttentionKernels& kernels_ = cpu::kernels().attention;
  at::Tensor keys_, values_;  ///< packed: [kv_heads, packed rows, size]
  AttentionResult result_;
};

}  // namespace

bool brgemm_attention_fits(const AttentionProblem& problem) {
  return problem.q.is_cpu() && problem.q.scalar_type() == at::kBFloat16 &&
         problem.k.size(2) % 2 == 0 && problem.v.size(2) % 2 == 0 && problem.q.numel() > 0 &&
         problem.v.numel() > 0 && cpu_has_brgemm();
}

AttentionResult brgemm_attention(const AttentionProblem& problem) {
  return Forward(problem).run();
}

}  // namespace distill::ops
