#include <ATen/ops/empty.h>

#include "ops/attention_operands.h"
#include "ops/cpu/divergence_table.h"
#include "ops/cpu/isa.h"
#include "ops/kernel_call.h"

// Probabilities are formed anew from the saved sums. A task is a part of a segment's queries and
// one key head: it has the gradient of its queries to itself, and sums the gradients of keys and
// values into memory of its own, transposed ([size][keys]), so that no product needs a transposed
// score matrix. Afterwards the parts of a segment are added up in order.

namespace distill::ops {
namespace {

using cpu::Bf16;

class Backward {
 public:
  Backward(const AttentionProblem& problem, const AttentionResult& result, const at::Tensor& grad)
      : sizes_(problem),
        window_(problem.options.window),
        blocks_(cut_attention(problem)),
        q_(problem.q),
        k_(problem.k),
        v_(problem.v),
        output_(result.output),
        grad_(grad),
        log_sums_(read<float>(result.log_sums)) {
    const auto options = problem.q.options();
    gradients_.q = at::empty(problem.q.sizes(), options);
    gradients_.k = at::empty(problem.k.sizes(), options);
    gradients_.v = at::empty(problem.v.sizes(), options);
    const std::int64_t rows = sizes_.kv_heads * blocks_.packed_rows;
    keys_ = at::empty({rows, sizes_.key}, options);
    key_pairs_ = at::empty({rows, sizes_.key}, options);
    values_ = at::empty({rows, sizes_.value}, options);
    const std::int64_t sums = sizes_.kv_heads * blocks_.part_rows;
    key_sums_ = at::empty({sums, sizes_.key}, options.dtype(at::kFloat));
    value_sums_ = at::empty({sums, sizes_.value}, options.dtype(at::kFloat));
  }

  AttentionGradients run() {
    const std::int64_t heads = sizes_.kv_heads;
    const std::int64_t num_keys = std::ssize(blocks_.keys);
    share_tasks(num_keys * heads, copy_work(), [&](const auto& claim) {
      for (std::int64_t task; (task = claim()) >= 0;) pack(task / heads, task % heads);
    });
    const std::int64_t num_parts = std::ssize(blocks_.parts);
    share_tasks(num_parts * heads, blocks_.num_scores * sizes_.heads, [&](const auto& claim) {
      Scratch scratch(blocks_.tokens, sizes_);
      for (std::int64_t task; (task = claim()) >= 0;) {
        add_part(num_parts - 1 - task / heads, task % heads, scratch);
      }
    });
    share_tasks(num_keys * heads, copy_work(), [&](const auto& claim) {
      std::vector<float> sum(
          static_cast<std::size_t>(kKeysPerBlock * std::max(sizes_.key, sizes_.value)));
      for (std::int64_t task; (task = claim()) >= 0;) {
        const auto block = static_cast<std::size_t>(task / heads);
        store_keys(blocks_.keys[block], task % heads, sum.data());
      }
    });
    return gradients_;
  }

 private:
  struct Scratch {
    Scratch(std::int64_t tokens, const AttentionSizes& sizes)
        : rows(padded_query_rows(tokens, sizes.group)),
          queries(bf16_scratch(rows * sizes.key)),
          queries_transposed(bf16_scratch(rows * sizes.key)),
          grads(bf16_scratch(rows * sizes.value)),
          grads_transposed(bf16_scratch(rows * sizes.value)),
          transposed(bf16_scratch(rows * std::max(sizes.key, sizes.value))),
          score_grads(bf16_scratch(rows * kKeysPerBlock)),
          score_grad_pairs(bf16_scratch(rows * kKeysPerBlock)),
          prob_pairs(bf16_scratch(rows * kKeysPerBlock)),
          scores(float_scratch(rows * kKeysPerBlock)),
          prob_grads(float_scratch(rows * kKeysPerBlock)),
          query_grads(float_scratch(rows * sizes.key)),
          log_sums(float_scratch(rows)),
          deltas(float_scratch(rows)) {}
    std::int64_t rows;
    std::vector<Bf16> queries, queries_transposed, grads, grads_transposed, transposed;
    std::vector<Bf16> score_grads, score_grad_pairs, prob_pairs;
    std::vector<float> scores, prob_grads, query_grads, log_sums, deltas;
  };

  /// A number that is only copied is worth about an eighth of a score.
  std::int64_t copy_work() const { return (keys_.numel() + values_.numel()) / 8; }

  const KeyBlock& key_block(std::int64_t block) const {
    return blocks_.keys[static_cast<std::size_t>(block)];
  }
  Bf16* packed(const at::Tensor& of, const KeyBlock& block, std::int64_t head) const {
    return write<Bf16>(of) + (head * blocks_.packed_rows + block.packed) * of.size(1);
  }
  /// A part's sums for one block of keys: [size][width].
  float* sums(const at::Tensor& of, const AttentionPart& part, const KeyBlock& block,
              std::int64_t head) const {
    const std::int64_t before = block.packed - key_block(part.first_key).packed;
    return write<float>(of) + (head * blocks_.part_rows + part.packed + before) * of.size(1);
  }
  /// Row of a [N, heads] tensor.
  std::int64_t place(const QueryBlock& queries, std::int64_t head, std::int64_t row) const {
    return (queries.row + row / sizes_.group) * sizes_.heads + head * sizes_.group +
           row % sizes_.group;
  }

  void pack(std::int64_t block, std::int64_t head) const {
    const KeyBlock& keys = key_block(block);
    pack_transposed(k_, keys, head, packed(keys_, keys, head));
    pack_pairs(k_, keys, head, packed(key_pairs_, keys, head));
    pack_transposed(v_, keys, head, packed(values_, keys, head));
  }

  /// [rows, size] -> [size, rows]
  void transpose(const std::vector<Bf16>& x, std::int64_t rows, std::int64_t size, Scratch& s,
                 std::vector<Bf16>& out) const {
    cpu::divergence_kernels().transpose(reinterpret_cast<const std::uint32_t*>(x.data()), size / 2,
                                        reinterpret_cast<std::uint32_t*>(s.transposed.data()), rows,
                                        rows, size / 2);
    for (std::int64_t i = 0; i < size; i += 2) {
      kernels_.split_pairs(s.transposed.data() + i * rows, out.data() + i * rows,
                           out.data() + (i + 1) * rows, rows);
    }
  }

  void load_queries(const QueryBlock& queries, std::int64_t head, Scratch& s) const {
    gather_rows(q_, queries, sizes_, head, s.queries.data());
    gather_rows(grad_, queries, sizes_, head, s.grads.data());
    const std::int64_t rows = padded_query_rows(queries.count, sizes_.group);
    transpose(s.queries, rows, sizes_.key, s, s.queries_transposed);
    transpose(s.grads, rows, sizes_.value, s, s.grads_transposed);
    for (std::int64_t row = 0; row < queries.count * sizes_.group; ++row) {
      const auto i = static_cast<std::size_t>(row);
      s.log_sums[i] = log_sums_[place(queries, head, row)];
      s.deltas[i] = kernels_.dot(
          s.grads.data() + row * sizes_.value,
          output_.at(queries.row + row / sizes_.group, head * sizes_.group + row % sizes_.group),
          sizes_.value);
    }
  }

  void add_part(std::int64_t number, std::int64_t head, Scratch& s) const {
    const AttentionPart& part = blocks_.parts[static_cast<std::size_t>(number)];
    const KeyBlock& first = key_block(part.first_key);
    const KeyBlock& last = key_block(part.end_key - 1);
    const std::int64_t rows = last.packed + last.width - first.packed;
    std::fill_n(sums(key_sums_, part, first, head), rows * sizes_.key, 0.0F);
    std::fill_n(sums(value_sums_, part, first, head), rows * sizes_.value, 0.0F);
    for (std::int64_t query = part.first_query; query < part.end_query; ++query) {
      const QueryBlock& queries = blocks_.queries[static_cast<std::size_t>(query)];
      load_queries(queries, head, s);
      for (std::int64_t key = queries.first_key; key < queries.end_key; ++key) {
        add_block(part, queries, key_block(key), head, s);
      }
      for (std::int64_t row = 0; row < queries.count * sizes_.group; ++row) {
        kernels_.scale_to_bf16(s.query_grads.data() + row * sizes_.key, sizes_.scale,
                               write<Bf16>(gradients_.q) + place(queries, head, row) * sizes_.key,
                               sizes_.key);
      }
    }
  }

  void form_block(const QueryBlock& queries, const KeyBlock& keys, std::int64_t head,
                  Scratch& s) const {
    const std::int64_t rows = padded_query_rows(queries.count, sizes_.group);
    const std::int64_t columns = columns_seen(queries, keys);
    brgemm({rows, columns, sizes_.key, sizes_.key, keys.width, kKeysPerBlock, false},
           s.queries.data(), packed(keys_, keys, head), s.scores.data());
    brgemm({rows, columns, sizes_.value, sizes_.value, keys.width, kKeysPerBlock, false},
           s.grads.data(), packed(values_, keys, head), s.prob_grads.data());
    cpu::AttentionGradArgs args;
    args.scores = s.scores.data();
    args.prob_grads = s.prob_grads.data();
    args.stride = kKeysPerBlock;
    args.rows = rows;
    args.columns = columns;
    args.seen = {queries.begin - keys.begin, sizes_.group, window_};
    args.real_rows = queries.count * sizes_.group;
    args.scale = sizes_.scale_to_base_2;
    args.log_sums = s.log_sums.data();
    args.deltas = s.deltas.data();
    args.grads = s.score_grads.data();
    args.grad_pairs = s.score_grad_pairs.data();
    args.prob_pairs = s.prob_pairs.data();
    kernels_.grad(args);
  }

  void add_block(const AttentionPart& part, const QueryBlock& queries, const KeyBlock& keys,
                 std::int64_t head, Scratch& s) const {
    form_block(queries, keys, head, s);
    const std::int64_t rows = padded_query_rows(queries.count, sizes_.group);
    const std::int64_t columns = columns_seen(queries, keys);
    const bool first = &keys == &key_block(queries.first_key);
    brgemm({rows, sizes_.key, columns, kKeysPerBlock, sizes_.key, sizes_.key, !first},
           s.score_grads.data(), packed(key_pairs_, keys, head), s.query_grads.data());
    brgemm({sizes_.key, columns, rows, rows, kKeysPerBlock, keys.width, true},
           s.queries_transposed.data(), s.score_grad_pairs.data(),
           sums(key_sums_, part, keys, head));
    brgemm({sizes_.value, columns, rows, rows, kKeysPerBlock, keys.width, true},
           s.grads_transposed.data(), s.prob_pairs.data(), sums(value_sums_, part, keys, head));
  }

  void store_keys(const KeyBlock& keys, std::int64_t head, float* sum) const {
    store_sum(key_sums_, keys, head, sizes_.scale, sum, gradients_.k);
    store_sum(value_sums_, keys, head, 1.0F, sum, gradients_.v);
  }
  void store_sum(const at::Tensor& of, const KeyBlock& keys, std::int64_t head, float factor,
                 float* sum, const at::Tensor& out) const {
    const std::int64_t size = of.size(1);
    const std::int64_t block = &keys - blocks_.keys.data();
    std::fill_n(sum, size * keys.width, 0.0F);
    for (std::int64_t number = keys.first_part; number < keys.end_part; ++number) {
      const AttentionPart& part = blocks_.parts[static_cast<std::size_t>(number)];
      if (block < part.first_key || block >= part.end_key) continue;
      kernels_.add_scaled(sums(of, part, keys, head), factor, sum, size * keys.width);
    }
    cpu::divergence_kernels().transpose_to_bf16(
        sum, keys.width, write<Bf16>(out) + (keys.begin * sizes_.kv_heads + head) * size,
        sizes_.kv_heads * size, size, keys.count);
  }

  AttentionSizes sizes_;
  std::int64_t window_;
  AttentionBlocks blocks_;
  HeadRows q_, k_, v_, output_, grad_;
  const float* log_sums_;  ///< [N, heads]
  const cpu::AttentionKernels& kernels_ = cpu::kernels().attention;
  at::Tensor keys_, key_pairs_, values_;  ///< packed: [kv_heads, packed rows, size]
  at::Tensor key_sums_, value_sums_;      ///< fp32 [kv_heads, part rows, size]
  AttentionGradients gradients_;
};

}  // namespace

AttentionGradients brgemm_attention_grad(const AttentionProblem& problem,
                                         const AttentionResult& result, const at::Tensor& grad) {
  return Backward(problem, result, grad).run();
}

}  // namespace distill::ops
