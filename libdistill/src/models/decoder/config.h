#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include <distill/io/json_value.h>
#include <distill/nn/rotary_table.h>

/// What the config.json of every decoder says in the same words. All of it is checked: FormatError
/// for a missing, mistyped or absurd value, UnsupportedError for a valid one that changes the
/// mathematics in a way this library does not do; both name file and key.
namespace distill::models::decoder {

// Bounds far above any real model: they only keep products of sizes inside 64 bits and a damaged
// number from looking like a plan.
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMaxHeads = 4096;

struct Sizes {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t max_positions = 0;  ///< with the stretching that the config asks for
  double rms_norm_eps = 0.0;
  nn::RopeOptions rope;
  bool tied_head = false;
};

/// Grouped-query attention.
struct Heads {
  std::int64_t num_heads = 0;
  std::int64_t num_kv_heads = 0;  ///< divides num_heads
  std::int64_t head_dim = 0;      ///< even
};

/// Reads both forms that are in the wild: `rope_theta` with `rope_scaling`, and `rope_parameters`.
Sizes read_sizes(const io::JsonCursor& json);

Heads read_heads(const io::JsonCursor& json, std::int64_t hidden_size);

/// An integer in [1, high]; `fallback` when it is missing or null.
std::int64_t positive_or(const io::JsonCursor& json, std::string_view name, std::int64_t high,
                         std::int64_t fallback);

/// A key may be null but must be there: readers differ in what its absence means.
void require_key(const io::JsonCursor& json, std::string_view name);

/// How many experts each of `num_layers` has, under the first of `names` that is there.
std::int64_t read_expert_count(const io::JsonCursor& json,
                               std::initializer_list<std::string_view> names,
                               std::int64_t num_layers);

}  // namespace distill::models::decoder
