#include "models/deepseek/config.h"

#include <cmath>
#include <string>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "models/rope_config.h"

namespace distill::models::deepseek {

namespace {

using decoder::kMaxWidth;

/// `name` must be missing or one of `known`; gives its place there.
std::size_t choice(const io::JsonCursor& json, std::string_view name,
                   std::initializer_list<std::string_view> known) {
  const std::string text = json.string_or(name, std::string(*known.begin()));
  std::size_t place = 0;
  for (const std::string_view option : known) {
    if (option == text) return place;
    ++place;
  }
  fail<UnsupportedError>(json.at(name).where(), " is ", core::printable(text), ", supported: ",
                         core::join(std::vector<std::string>(known.begin(), known.end())));
}

void refuse(const io::JsonCursor& json, std::string_view name, std::string_view expected) {
  fail<UnsupportedError>(json.at(name).where(), " must be ", expected,
                         " in models of this family; nothing else is supported");
}

LatentSizes read_attention(const io::JsonCursor& json, const nn::RopeOptions& rope) {
  LatentSizes sizes;
  sizes.num_heads = json.at("num_attention_heads").int_in(1, decoder::kMaxHeads);
  if (decoder::positive_or(json, "num_key_value_heads", decoder::kMaxHeads, sizes.num_heads) !=
      sizes.num_heads) {
    refuse(json, "num_key_value_heads", "num_attention_heads");
  }
  decoder::require_key(json, "q_lora_rank");
  if (json.has("q_lora_rank")) sizes.query_rank = json.at("q_lora_rank").int_in(1, kMaxWidth);
  sizes.rank = json.at("kv_lora_rank").int_in(1, kMaxWidth);
  sizes.nope_dim = json.at("qk_nope_head_dim").int_in(1, kMaxWidth);
  sizes.rope_dim = json.at("qk_rope_head_dim").int_in(2, kMaxWidth);
  if (sizes.rope_dim % 2 != 0) {
    json.at("qk_rope_head_dim").fail(core::concat("must be even, it is ", sizes.rope_dim));
  }
  sizes.value_dim = json.at("v_head_dim").int_in(1, kMaxWidth);
  const double plain = 1.0 / std::sqrt(static_cast<double>(sizes.nope_dim + sizes.rope_dim));
  sizes.scale = plain * stretched_softmax_scale(json, rope);
  sizes.bias = json.bool_or("attention_bias", false);
  return sizes;
}

/// The groups that the choice of experts is limited to.
void read_groups(const io::JsonCursor& json, Config& config) {
  nn::RouterOptions& router = config.router;
  const std::int64_t experts = config.experts.count;
  router.num_groups = json.at("n_group").int_in(1, experts);
  if (experts % router.num_groups != 0) {
    json.at("n_group").fail(
        core::concat("must divide n_routed_experts (", experts, "), it is ", router.num_groups));
  }
  router.groups_per_token = json.at("topk_group").int_in(1, router.num_groups);
  const std::int64_t group = experts / router.num_groups;
  if (router.group_score == nn::GroupScore::kSumOfTwoBest && group < 2 && router.num_groups > 1) {
    json.at("n_group").fail(core::concat("leaves one expert a group (n_routed_experts is ", experts,
                                         "), expected at least two"));
  }
  if (router.experts_per_token > group * router.groups_per_token) {
    json.at("num_experts_per_tok")
        .fail(core::concat("must be at most the ", group * router.groups_per_token,
                           " experts of topk_group groups, it is ", router.experts_per_token));
  }
}

void read_experts(const io::JsonCursor& json, Config& config) {
  config.experts.count =
      decoder::read_expert_count(json, {"n_routed_experts"}, config.sizes.num_layers);
  config.experts.inner = json.at("moe_intermediate_size").int_in(1, kMaxWidth);
  if (json.has("n_shared_experts")) {
    config.num_shared_experts = json.at("n_shared_experts").int_in(0, kMaxWidth);
  }
  config.router.experts_per_token = json.at("num_experts_per_tok").int_in(1, config.experts.count);
  const io::JsonCursor scaling = json.at("routed_scaling_factor");
  config.router.scaling = scaling.as_double();
  if (!(config.router.scaling > 0.0)) {
    scaling.fail(core::concat("must be above 0, it is ", config.router.scaling));
  }
  config.num_dense_layers = json.at("first_k_dense_replace").int_in(0, std::int64_t{1} << 20);
  if (json.int_or("moe_layer_freq", 1) != 1) refuse(json, "moe_layer_freq", "1");
}

Config read_common(const io::JsonCursor& json) {
  constexpr std::int64_t kMaxMtpLayers = 64;
  Config config;
  config.sizes = decoder::read_sizes(json);
  config.attention = read_attention(json, config.sizes.rope);
  config.intermediate_size = json.at("intermediate_size").int_in(1, kMaxWidth);
  read_experts(json, config);
  if (json.bool_or("mlp_bias", false)) refuse(json, "mlp_bias", "false");
  if (json.has("num_nextn_predict_layers")) {
    config.num_mtp_layers = json.at("num_nextn_predict_layers").int_in(0, kMaxMtpLayers);
  }
  return config;
}

}  // namespace

Config read_v2_config(const io::JsonCursor& json) {
  Config config = read_common(json);
  config.attention.interleaved = true;
  choice(json, "scoring_func", {"softmax"});
  // Published code and transformers differ in what this would do.
  if (json.bool_or("norm_topk_prob", false)) refuse(json, "norm_topk_prob", "false");
  const bool limited = choice(json, "topk_method", {"greedy", "group_limited_greedy"}) == 1;
  if (limited) read_groups(json, config);
  return config;
}

Config read_v3_config(const io::JsonCursor& json) {
  Config config = read_common(json);
  config.attention.interleaved = json.bool_or("rope_interleave", true);
  choice(json, "scoring_func", {"sigmoid"});
  choice(json, "topk_method", {"noaux_tc"});
  config.router.score = nn::RouterScore::kSigmoid;
  config.router.group_score = nn::GroupScore::kSumOfTwoBest;
  config.router.normalise = json.bool_or("norm_topk_prob", true);
  config.correction_bias = true;
  read_groups(json, config);
  return config;
}

}  // namespace distill::models::deepseek
