#include <distill/models/generate.h>
#include <distill/models/logits.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/core/random.h>
#include <distill/nn/kv_cache.h>

namespace distill::models {

namespace {

void check_request(const CausalLm& model, const std::vector<std::int64_t>& prompt,
                   const GenerateOptions& options) {
  if (prompt.empty()) fail<InputError>("the prompt is empty; give at least one id");
  if (options.max_new_tokens < 0) {
    fail<InputError>("max_new_tokens must not be negative, it is ", options.max_new_tokens);
  }
  if (!(options.temperature >= 0.0) || std::isinf(options.temperature)) {
    fail<InputError>("temperature must be 0 or more, it is ", options.temperature);
  }
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) {
    fail<InputError>("top_p must be above 0 and at most 1, it is ", options.top_p);
  }
  const auto held = static_cast<std::int64_t>(prompt.size());
  const std::int64_t positions = model.shape().max_positions;
  // The last new token is never fed back, so it needs no position.
  if (held > positions || options.max_new_tokens - 1 > positions - held) {
    fail<InputError>("a prompt of ", held, " ids and ", options.max_new_tokens,
                     " new ones do not fit the model's ", positions, " positions; ask for at most ",
                     std::max<std::int64_t>(positions - held + 1, 0), " new ones");
  }
}

/// Draws from softmax(logits / temperature), cut to the most probable ids that together reach
/// top_p.
std::int64_t sample(const at::Tensor& logits, const GenerateOptions& options,
                    core::RandomState& random) {
  const at::Tensor probabilities =
      at::softmax(logits.to(at::kCPU, at::kDouble) / options.temperature, -1).contiguous();
  const auto* p = probabilities.const_data_ptr<double>();
  std::vector<std::int64_t> ids(static_cast<std::size_t>(probabilities.numel()));
  std::iota(ids.begin(), ids.end(), 0);
  std::sort(ids.begin(), ids.end(),
            [p](std::int64_t a, std::int64_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  double kept = 0.0;
  std::size_t count = 0;
  while (count < ids.size() && (count == 0 || kept < options.top_p)) kept += p[ids[count++]];
  double rest = random.uniform() * kept;
  for (std::size_t i = 0; i < count; ++i) {
    rest -= p[ids[i]];
    if (rest < 0.0) return ids[i];
  }
  return ids[count - 1];
}

std::int64_t choose(const at::Tensor& logits, const GenerateOptions& options,
                    core::RandomState& random) {
  if (options.temperature == 0.0) return at::argmax(logits).item<std::int64_t>();
  return sample(logits, options, random);
}

}  // namespace

std::vector<std::int64_t> generate(CausalLm& model, const std::vector<std::int64_t>& prompt,
                                   const GenerateOptions& options,
                                   const std::function<bool(std::int64_t)>& on_token) {
  check_request(model, prompt, options);
  const c10::NoGradGuard no_graph;
  const auto cache = model.make_cache();
  const auto device = model.parameters().front().tensor.device();
  core::RandomState random(options.seed);
  std::vector<std::int64_t> next = prompt, result;
  while (static_cast<std::int64_t>(result.size()) < options.max_new_tokens) {
    const at::Tensor ids = at::tensor(next, at::kLong).to(device);
    const types::ModelOutput output = model.forward_cached(ids, *cache);
    const at::Tensor last = output.hidden.narrow(0, output.hidden.size(0) - 1, 1);
    const std::int64_t id = choose(models::logits(output, last).flatten(), options, random);
    result.push_back(id);
    const auto& stops = options.stop_ids;
    if (std::find(stops.begin(), stops.end(), id) != stops.end()) break;
    if (on_token && !on_token(id)) break;
    next = {id};
  }
  return result;
}

}  // namespace distill::models
