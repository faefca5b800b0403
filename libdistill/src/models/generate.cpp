#include <distill/models/generate.h>

#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/Parallel.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/models/logits.h>
#include <distill/nn/kv_cache.h>

#include "models/sampler.h"

namespace distill::models {

namespace {

using Ids = std::vector<std::int64_t>;

/// New prompts wait while more rows than this are to be computed at once.
constexpr std::int64_t kMostNewRows = 4096;

void check(const GenerateOptions& options) {
  const SamplingOptions& sampling = options.sampling;
  if (options.max_new_tokens < 0) {
    fail<InputError>("max_new_tokens must not be negative, it is ", options.max_new_tokens);
  }
  if (options.batch_size < 1) {
    fail<InputError>("batch_size must be at least 1, it is ", options.batch_size);
  }
  if (!(sampling.temperature >= 0.0) || std::isinf(sampling.temperature)) {
    fail<InputError>("temperature must be 0 or more, it is ", sampling.temperature);
  }
  if (sampling.top_k < 0) {
    fail<InputError>("top_k must not be negative, it is ", sampling.top_k);
  }
  if (!(sampling.top_p > 0.0 && sampling.top_p <= 1.0)) {
    fail<InputError>("top_p must be above 0 and at most 1, it is ", sampling.top_p);
  }
  if (!(sampling.repetition_penalty >= 0.01 && sampling.repetition_penalty <= 100.0)) {
    fail<InputError>("repetition_penalty must be from 0.01 to 100, it is ",
                     sampling.repetition_penalty);
  }
  if (options.vocabulary < 0) {
    fail<InputError>("vocabulary must not be negative, it is ", options.vocabulary);
  }
}

/// How many ids may follow the prompt.
std::int64_t room_after(const CausalLm& model, const Ids& prompt, const GenerateOptions& options,
                        const std::string& name) {
  if (prompt.empty()) fail<InputError>(name, "the prompt is empty; give at least one id");
  for (const std::int64_t id : prompt) {
    if (id >= 0 && id < model.shape().vocab_size) continue;
    fail<InputError>(name, "id ", id,
                     " of the prompt is outside the model's vocabulary, expected 0 to ",
                     model.shape().vocab_size - 1);
  }
  const auto held = static_cast<std::int64_t>(prompt.size());
  const std::int64_t positions = model.shape().max_positions;
  // The last new token is never fed back, so it needs no position.
  const std::int64_t room = std::max<std::int64_t>(positions - held + 1, 0);
  if (held > positions) {
    fail<InputError>(name, "a prompt of ", held, " ids does not fit the model's ", positions,
                     " positions; shorten it");
  }
  if (options.max_new_tokens > room && !options.end_at_last_position) {
    fail<InputError>(name, "a prompt of ", held, " ids and ", options.max_new_tokens,
                     " new ones do not fit the model's ", positions, " positions; ask for at most ",
                     room, " new ones");
  }
  return std::min(room, options.max_new_tokens);
}

/// What messages about a prompt begin with.
std::string name_of(std::size_t prompt, std::size_t num_prompts, const GenerateOptions& options) {
  if (!options.prompt_names.empty()) return options.prompt_names[prompt] + ": ";
  return num_prompts > 1 ? core::concat("prompt ", prompt + 1, ": ") : "";
}

struct Sequence {
  std::size_t prompt;
  std::int64_t room;  ///< ids that may still come
  Ids pending;        ///< known ids that the cache does not hold yet
  std::unique_ptr<nn::KvCache> cache;
  Sampler sampler;
};

class Generation {
 public:
  Generation(CausalLm& model, std::span<const Ids> prompts, const GenerateOptions& options,
             const GenerateCallbacks& callbacks)
      : model_(model),
        prompts_(prompts),
        options_(options),
        callbacks_(callbacks),
        device_(model.device()),
        results_(prompts.size()) {
    check(options);
    if (!options.prompt_names.empty() && options.prompt_names.size() != prompts.size()) {
      fail<InputError>(prompts.size(), " prompts have ", options.prompt_names.size(),
                       " names, expected one for each");
    }
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const std::string name = name_of(i, prompts.size(), options);
      rooms_.push_back(room_after(model, prompts[i], options, name));
    }
  }

  std::vector<Ids> run() {
    const c10::InferenceMode no_graph;
    for (admit(); !active_.empty(); admit()) take(step());
    return std::move(results_);
  }

 private:
  void admit() {
    std::int64_t rows = std::ssize(active_);
    while (next_prompt_ < prompts_.size() && std::ssize(active_) < options_.batch_size) {
      const std::size_t prompt = next_prompt_;
      const Ids& ids = prompts_[prompt];
      if (rows > 0 && rows + std::ssize(ids) > kMostNewRows) return;
      ++next_prompt_;
      if (rooms_[prompt] == 0) {
        end(prompt);
        continue;
      }
      rows += std::ssize(ids);
      if (callbacks_.on_begin) callbacks_.on_begin(prompt);
      active_.push_back({prompt, rooms_[prompt], ids, model_.make_cache(),
                         Sampler(options_.sampling, prompt, ids)});
    }
  }

  /// One more id for each active sequence.
  Ids step() {
    Ids rows, segments = {0}, last_rows;
    std::vector<nn::KvCache*> caches;
    for (const Sequence& sequence : active_) {
      rows.insert(rows.end(), sequence.pending.begin(), sequence.pending.end());
      segments.push_back(std::ssize(rows));
      last_rows.push_back(std::ssize(rows) - 1);
      caches.push_back(sequence.cache.get());
    }
    const types::ModelOutput output = model_.forward_cached(at::tensor(rows, at::kLong).to(device_),
                                                            nn::CachedSequences{segments, caches});
    const at::Tensor last =
        output.hidden.index_select(0, at::tensor(last_rows, at::kLong).to(device_));
    const at::Tensor logits = models::logits(output, last).to(at::kCPU, at::kFloat).contiguous();
    const auto width = static_cast<std::size_t>(logits.size(1));
    const std::size_t ids = options_.vocabulary == 0
                                ? width
                                : std::min(width, static_cast<std::size_t>(options_.vocabulary));
    float* data = logits.data_ptr<float>();
    Ids chosen(active_.size());
    at::parallel_for(0, std::ssize(active_), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        chosen[i] = active_[i].sampler.next({data + i * width, ids});
      }
    });
    return chosen;
  }

  void take(const Ids& chosen) {
    const auto& stops = options_.stop_ids;
    std::vector<Sequence> going_on;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      Sequence& sequence = active_[i];
      const std::int64_t id = chosen[i];
      results_[sequence.prompt].push_back(id);
      const bool ends =
          --sequence.room == 0 || std::find(stops.begin(), stops.end(), id) != stops.end();
      const auto& on_token = callbacks_.on_token;
      const bool wants_more = !on_token || on_token(sequence.prompt, id);
      if (ends || !wants_more) {
        end(sequence.prompt);
        continue;
      }
      sequence.pending = {id};
      going_on.push_back(std::move(sequence));
    }
    active_ = std::move(going_on);
  }

  void end(std::size_t prompt) const {
    if (callbacks_.on_end) callbacks_.on_end(prompt);
  }

  CausalLm& model_;
  std::span<const Ids> prompts_;
  const GenerateOptions& options_;
  const GenerateCallbacks& callbacks_;
  at::Device device_;
  Ids rooms_;
  std::vector<Ids> results_;
  std::vector<Sequence> active_;
  std::size_t next_prompt_ = 0;
};

}  // namespace

std::vector<Ids> generate(CausalLm& model, std::span<const Ids> prompts,
                          const GenerateOptions& options, const GenerateCallbacks& callbacks) {
  return Generation(model, prompts, options, callbacks).run();
}

Ids generate(CausalLm& model, const Ids& prompt, const GenerateOptions& options,
             const std::function<bool(std::int64_t)>& on_token) {
  GenerateCallbacks callbacks;
  if (on_token) callbacks.on_token = [&](std::size_t, std::int64_t id) { return on_token(id); };
  return generate(model, std::span(&prompt, 1), options, callbacks).front();
}

}  // namespace distill::models
