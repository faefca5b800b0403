#include <distill/recipe/cache.h>

#include <algorithm>

#include <ATen/ops/any.h>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/data/make_batch.h>
#include <distill/models/check.h>
#include <distill/models/fingerprint.h>

namespace distill::recipe {

namespace {

using core::concat;
using Result = Check::Result;

// Names of facts: part of the cache format, do not change.
constexpr const char* kTeacher = "teacher";
constexpr const char* kWeights = "teacher's weights";
constexpr const char* kPrecision = "precision";
constexpr const char* kTokenizer = "tokenizer";
constexpr const char* kTemplate = "chat template";
constexpr const char* kLength = "sequence length";
constexpr const char* kTrain = "train data";
constexpr const char* kEval = "eval data";
constexpr const char* kSeed = "seed";
constexpr const char* kQuantized = "quantised";  // format of the teacher's weights; absent: dense

/// A hash of what a template makes of some conversations.
std::string fingerprint_of(const text::ChatTemplate* chat) {
  if (chat == nullptr) return "none";
  const text::ChatMessage system{"system", "Be brief."};
  const text::ChatMessage user{"user", "What is 2 + 2?"};
  const text::ChatMessage answer{"assistant", "4"};
  using Messages = std::vector<text::ChatMessage>;
  core::Hasher hasher;
  for (const Messages& messages : {Messages{user, answer}, Messages{system, user, answer},
                                   Messages{system, user, answer, user, answer}}) {
    try {
      for (const auto& span : chat->render(messages, false)) {
        hasher.add(concat(span.is_target, span.text));
      }
    } catch (const InputError& error) {
      hasher.add(error.what());
    }
  }
  return hasher.hex();
}

std::int64_t size_of(const CacheTeacherOptions& options, const io::LogitCacheSpec& spec,
                     const ModelFacts& teacher) {
  constexpr std::int64_t kTopK = 32;
  constexpr std::int64_t kDraws = 22;
  switch (spec.form) {
    case io::SignalForm::kTopK:
      return std::min(options.top_k.value_or(kTopK), spec.vocabulary);
    case io::SignalForm::kSampled:
      return options.draws.value_or(kDraws);
    case io::SignalForm::kHidden:
      return teacher.hidden_size;
  }
  return 0;
}

Check error(std::string what) {
  return {Result::kError, "teacher cache", std::move(what)};
}

/// Why segments of some data are missing, as far as the cache tells.
std::string likely_cause(const io::LogitCacheSpec& spec, const Recipe& recipe,
                         const DataParts& data, const char* part, const data::Dataset& dataset) {
  const std::string length = concat(recipe.data.sequence_length);
  if (spec.fact(kLength) != length) {
    return concat(": it was captured with sequence_length ", spec.fact(kLength),
                  ", the recipe has ", length);
  }
  if (spec.fact(kTemplate) != fingerprint_of(data.chat.get())) {
    return ": it was captured with another chat template";
  }
  if (spec.fact(part) != dataset.fingerprint()) return ": it was captured from other data";
  return "";
}

}  // namespace

const CacheTeacherOptions* cache_teacher(const Recipe& recipe) {
  return recipe.teacher.options<CacheTeacherOptions>();
}

PlannedModels plan_capture(const Recipe& recipe) {
  const CacheTeacherOptions* options = cache_teacher(recipe);
  if (options == nullptr) {
    fail<ConfigError>("teacher.kind: is `", recipe.teacher.kind(),
                      "`; a capture needs `cache`, with `path` and `model`");
  }
  if (!options->model) {
    fail<ConfigError>("teacher.model: a capture needs the folder of the teacher");
  }
  PlannedModels models;
  models.device = choose_device(recipe.device);
  const auto& student = recipe.student.model ? recipe.student.model : options->model;
  models.student = read_model_facts(*student, nullptr);
  models.teacher = read_model_facts(*options->model, nullptr);
  models::check_causal_lm(models.teacher->folder, {});
  if (recipe.data.sequence_length > models.teacher->max_positions) {
    fail<ConfigError>("data.sequence_length: ", recipe.data.sequence_length, ", but ",
                      models.teacher->folder.string(), " has ", models.teacher->max_positions,
                      " positions; use shorter rows");
  }
  return models;
}

io::LogitCacheSpec cache_spec(const Recipe& recipe, const PlannedModels& models,
                              const DataParts& data, const std::string& head_hash) {
  const CacheTeacherOptions& options = *cache_teacher(recipe);
  io::LogitCacheSpec spec;
  spec.form = options.form_or_default();
  spec.vocabulary = data.tokenizer->vocab_size();
  spec.size = size_of(options, spec, *models.teacher);
  spec.temperature = options.temperature.value_or(1.0);
  spec.facts = {{kTeacher, models.teacher->folder.string()},
                {kWeights, models::fingerprint(models.teacher->folder)},
                {kPrecision, recipe.precision == Precision::kBf16 ? "bf16" : "fp32"},
                {kTokenizer, data.tokenizer->fingerprint()},
                {kTemplate, fingerprint_of(data.chat.get())},
                {kLength, concat(recipe.data.sequence_length)},
                {kTrain, data.train->fingerprint()},
                {kEval, data.eval ? data.eval->fingerprint() : "none"}};
  if (spec.form == io::SignalForm::kSampled) spec.facts.emplace_back(kSeed, concat(recipe.seed));
  if (options.quantize)
    spec.facts.emplace_back(kQuantized, std::string(ops::name_of(*options.quantize)));
  if (!head_hash.empty()) spec.facts.emplace_back(io::kCacheHeadFact, head_hash);
  return spec;
}

namespace {

/// Numbers that differ must look it.
std::string all_digits(double number) {
  return core::JsonWriter().value(number).text();
}

void require_options(const CacheTeacherOptions& options, const io::LogitCacheInfo& cache) {
  const io::LogitCacheSpec& spec = cache.spec;
  const auto differs = [&](const char* key, const auto& is, const auto& was) {
    fail<ConfigError>("teacher.", key, ": is ", is, ", the cache ", core::shown(cache.folder),
                      " was captured with ", was,
                      "; change the recipe, or capture again with "
                      "--restart");
  };
  if (options.form && *options.form != spec.form) {
    differs("form", io::name_of(*options.form), io::name_of(spec.form));
  }
  const auto& size = spec.form == io::SignalForm::kTopK ? options.top_k : options.draws;
  const bool all_ids = spec.form == io::SignalForm::kTopK && spec.size == spec.vocabulary;
  if (size && *size != spec.size && !(all_ids && *size > spec.size)) {
    differs(spec.form == io::SignalForm::kTopK ? "top_k" : "draws", *size, spec.size);
  }
  if (options.temperature && *options.temperature != spec.temperature) {
    differs("temperature", all_digits(*options.temperature), all_digits(spec.temperature));
  }
  const std::string format = spec.fact(kQuantized);
  if (options.quantize && ops::name_of(*options.quantize) != format) {
    differs("quantize", ops::name_of(*options.quantize), format.empty() ? "dense weights" : format);
  }
}

/// Samples give forward_kl at their own temperature alone.
void require_forward_kl(const Recipe& recipe, const io::LogitCacheInfo& cache) {
  for (std::size_t i = 0; i < recipe.loss.items().size(); ++i) {
    const auto& item = recipe.loss.items()[i];
    const auto loss = item.build();
    const auto term = loss->logit_term();
    if (!loss->needs_teacher()) continue;
    if (!term || term->kind != ops::LogitTermKind::kForwardKl) {
      fail<ConfigError>("loss.", i, ": the cache ", core::shown(cache.folder),
                        " holds samples, which serve `forward_kl` and not `", item.kind(),
                        "`; capture with `form: top_k`");
    }
    if (term->temperature != cache.spec.temperature) {
      fail<ConfigError>("loss.", i, ".temperature: is ", all_digits(term->temperature),
                        ", the samples of ", core::shown(cache.folder), " were drawn at ",
                        all_digits(cache.spec.temperature), "; make them the same");
    }
  }
}

}  // namespace

void require_usable(const Recipe& recipe, const io::LogitCacheInfo& cache) {
  require_options(*cache_teacher(recipe), cache);
  if (cache.spec.form == io::SignalForm::kSampled) require_forward_kl(recipe, cache);
}

std::vector<Check> check_cache(const Recipe& recipe, const PlannedModels& models,
                               const text::Tokenizer& tokenizer) {
  const io::LogitCacheInfo& cache = *models.cache;
  const std::string folder = core::shown(cache.folder);
  if (cache.spec.fact(kTokenizer) != tokenizer.fingerprint() ||
      cache.spec.vocabulary != tokenizer.vocab_size()) {
    return {
        error(concat(folder, ": was captured with another tokenizer than that of ",
                     models.student.folder.string(), ", its ids mean other tokens; use that of ",
                     cache.spec.fact(kTeacher), ", or capture again"))};
  }
  const auto& model = cache_teacher(recipe)->model;
  if (model && core::is_folder(*model) &&
      models::fingerprint(*model) != cache.spec.fact(kWeights)) {
    return {error(concat(folder, ": was captured from another teacher than ", *model, " (it was ",
                         cache.spec.fact(kTeacher),
                         ", with other weights); capture again with --restart"))};
  }
  return {{Result::kGood, "teacher cache",
           concat(io::name_of(cache.spec.form), " ", cache.spec.size, " of ",
                  cache.spec.fact(kTeacher), ", the same tokenizer")}};
}

std::vector<Check> check_coverage(const Recipe& recipe, const DataParts& data,
                                  const std::function<void()>& between_rows) {
  const io::LogitCache cache(cache_teacher(recipe)->path);
  const auto look = [&](const char* name, const char* fact, const data::Dataset& dataset) {
    std::int64_t missing = 0;
    std::int64_t total = 0;
    for_each_segment(dataset, [&](const SegmentPlace& place) {
      ++total;
      if (!cache.has(place.key.words)) ++missing;
      if (between_rows) between_rows();
    });
    const std::string of = concat(core::with_thousands(total), " segments of ", name);
    if (missing == 0) return Check{Result::kGood, "teacher cache", "all " + of + " are in it"};
    return error(concat(core::shown(cache.info().folder), ": ", core::with_thousands(missing),
                        " of ", of, " are not in it",
                        likely_cause(cache.info().spec, recipe, data, fact, dataset),
                        "; run `distill cache` with this recipe and --restart"));
  };
  std::vector<Check> checks = {look("data.train", kTrain, *data.train)};
  const auto& evaluate = recipe.evaluate;
  const bool evaluates = evaluate.at_start || evaluate.at_end || evaluate.every > 0;
  if (data.eval && evaluates) checks.push_back(look("data.eval", kEval, *data.eval));
  return checks;
}

void for_each_segment(const data::Dataset& dataset,
                      const std::function<void(const SegmentPlace&)>& take) {
  for (std::int64_t row = 0; row < dataset.num_rows(); ++row) {
    const types::Batch batch = data::make_batch({dataset.row(row)});
    const auto keys = types::segment_keys(batch);
    for (std::size_t s = 0; s < keys.size(); ++s) {
      const std::int64_t begin = batch.input.segments[s];
      const std::int64_t tokens = batch.input.segments[s + 1] - begin;
      if (!at::any(batch.loss_mask.narrow(0, begin, tokens)).item<bool>()) continue;
      take({row, s, tokens, keys[s]});
    }
  }
}

}  // namespace distill::recipe
