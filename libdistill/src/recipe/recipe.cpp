#include <distill/recipe/recipe.h>

#include <cmath>

#include <distill/core/changeable.h>
#include <distill/core/strings.h>
#include <distill/losses/uld.h>
#include <distill/recipe/forgetting.h>
#include <distill/recipe/several_teachers.h>

namespace distill::recipe {

using core::concat;

Recipe default_recipe(const Registries& registries) {
  return Recipe(registries);
}

void describe(core::FieldVisitor& visit, TrainOptions& options) {
  visit("steps", options.steps, "optimizer steps; exactly one of `steps` and `epochs` is given");
  visit("epochs", options.epochs, "passes over the training rows, such as 1 or 0.5");
  visit("batch_size", options.batch_size, "rows of one optimizer step, over all ranks");
  visit("micro_batch_size", options.micro_batch_size,
        "rows of one forward and backward pass; divides `batch_size`");
  visit("optimizer", options.optimizer, "what turns gradients into updates");
  visit("schedule", options.schedule, "how the learning rate changes");
  visit("gradient_clip", options.gradient_clip,
        "gradients with a larger global norm are scaled down to it; 0: off");
  visit("activation_checkpointing", options.activation_checkpointing,
        "form what is inside a layer anew in the backward pass: less memory, more work");
}

namespace {

/// Far beyond any run, and small enough that steps times rows stay below 2^62.
constexpr std::int64_t kMostSteps = std::int64_t{1} << 40;
constexpr std::int64_t kMostRows = std::int64_t{1} << 22;

void check_count(core::Problems& problems, const char* field, std::int64_t value,
                 std::int64_t most) {
  if (value < 1) {
    problems.add(field, concat("must be at least 1, it is ", value));
  } else if (value > most) {
    problems.add(field, concat("must be at most ", most, ", it is ", value));
  }
}

}  // namespace

void validate(const TrainOptions& options, core::Problems& problems) {
  if (!options.steps && !options.epochs) {
    problems.add("", "needs `steps` or `epochs`");
  } else if (options.steps && options.epochs) {
    problems.add("epochs", "is given beside `steps`; remove one");
  }
  if (options.steps) check_count(problems, "steps", *options.steps, kMostSteps);
  if (options.epochs && !(*options.epochs > 0 && *options.epochs <= 1e6)) {
    problems.add("epochs", concat("must be above 0 and at most 1e6, it is ", *options.epochs));
  }
  check_count(problems, "batch_size", options.batch_size, kMostRows);
  check_count(problems, "micro_batch_size", options.micro_batch_size, kMostRows);
  if (options.micro_batch_size >= 1 && options.batch_size % options.micro_batch_size != 0) {
    problems.add("batch_size", concat("must be a multiple of `micro_batch_size` (",
                                      options.micro_batch_size, "), it is ", options.batch_size));
  }
  if (options.steps && options.schedule.warmup_steps >= *options.steps) {
    problems.add("schedule.warmup_steps", concat("must be below `train.steps` (", *options.steps,
                                                 "), it is ", options.schedule.warmup_steps));
  }
  if (options.gradient_clip < 0) {
    problems.add("gradient_clip", concat("must not be negative, it is ", options.gradient_clip));
  }
}

void describe(core::FieldVisitor& visit, Recipe& recipe) {
  visit.required("name", recipe.name, "the name of the run");
  visit("output", recipe.output, "run folder; `runs/NAME` when empty");
  visit("seed", recipe.seed,
        "decides the order of the data and where the parameters of a loss begin");
  visit("precision", recipe.precision,
        "what the models compute in; master weights and sums are fp32 either way");
  visit("device", recipe.device,
        "where to run; auto: the first GPU if one can be used (docs/gpu.md)");
  visit.required("student", recipe.student, "the model to train");
  visit.required("teacher", recipe.teacher, "the model to learn from");
  visit.required("data", recipe.data, "what to train and to evaluate on");
  visit.required("loss", recipe.loss, "the objective: a weighted sum of terms");
  visit.required("train", recipe.train, "how long and how to train");
  visit("checkpoint", recipe.checkpoint, "when to save the state of the run");
  visit("evaluate", recipe.evaluate,
        "when to measure the student on `data.eval`, and on what else");
  visit("forgetting", recipe.forgetting,
        "look while training whether the student forgets, and react (docs/evaluation.md)");
  visit("gates", recipe.gates,
        core::changeable("what must hold of the trained student (docs/pipelines.md)"));
}

void check_name(const std::string& name, core::Problems& problems) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.size() > 100 || name != core::printable(name, name.size())) {
    problems.add("name", "must be 1 to 100 printable characters without `/`");
  }
}

namespace {

void check_losses(const Recipe& recipe, core::Problems& problems) {
  if (recipe.loss.items().empty()) problems.add("loss", "must hold at least one term");
  if (recipe.teacher.kind() != "none") return;
  for (std::size_t i = 0; i < recipe.loss.items().size(); ++i) {
    const auto& item = recipe.loss.items()[i];
    if (item.build()->needs_teacher()) {
      problems.add(concat("loss.", i), concat("`", item.kind(),
                                              "` compares with a teacher, and "
                                              "`teacher.kind` is none"));
    }
  }
}

/// A server tells how likely the tokens of a text are, in its own tokens.
void check_served_across(const Recipe& recipe, const std::string& across,
                         const ServerTeacherOptions& server, core::Problems& problems) {
  if (!server.tokenizer) {
    problems.add("teacher.tokenizer",
                 concat("is not given, and with `", across,
                        "` the teacher reads the text in its own tokens; name the folder of the "
                        "served model's tokenizer"));
  }
  for (std::size_t i = 0; i < recipe.loss.items().size(); ++i) {
    if (recipe.loss.items()[i].kind() != losses::UldOptions::kKind) continue;
    problems.add(concat("loss.", i),
                 "`uld` compares whole distributions, which a server does not give; use `alm`, or "
                 "a teacher of kind `local`");
  }
}

/// A teacher's answer is either about ids or about texts.
void check_tokenizers(const Recipe& recipe, core::Problems& problems) {
  if (recipe.teacher.kind() == "none") return;
  std::string across;
  for (const auto& item : recipe.loss.items()) {
    if (across.empty() && item.build()->across_tokenizers()) across = item.kind();
  }
  const auto* server = recipe.teacher.options<ServerTeacherOptions>();
  if (across.empty()) {
    if (server != nullptr && server->max_tokens) {
      problems.add("teacher.max_tokens", "has an effect with `alm` only");
    }
    return;
  }
  if (server != nullptr) {
    check_served_across(recipe, across, *server, problems);
  } else if (recipe.teacher.kind() != "local") {
    problems.add("teacher.kind",
                 concat("is `", recipe.teacher.kind(), "`, and `", across,
                        "` needs a teacher of kind `local` or, for `alm`, `server`"));
  }
  for (std::size_t i = 0; i < recipe.loss.items().size(); ++i) {
    const auto& item = recipe.loss.items()[i];
    const auto loss = item.build();
    if (!loss->needs_teacher() || loss->across_tokenizers()) continue;
    problems.add(concat("loss.", i),
                 concat("`", item.kind(), "` compares ids or layers, and cannot stand beside `",
                        across, "`, for which the teacher reads the text in its own tokens"));
  }
}

}  // namespace

void validate(const Recipe& recipe, core::Problems& problems) {
  check_name(recipe.name, problems);
  if (recipe.seed < 0) problems.add("seed", concat("must not be negative, it is ", recipe.seed));
  const auto& init = recipe.student.init;
  const auto* cache = recipe.teacher.options<CacheTeacherOptions>();
  const bool has_model = recipe.teacher.kind() == "local" || (cache != nullptr && cache->model);
  if (init && init->from == InitFrom::kTeacher && !has_model) {
    problems.add("student.init.from",
                 concat("is `teacher`, which needs `teacher.kind: local`, or `cache` with "
                        "`teacher.model`; it is `",
                        recipe.teacher.kind(), "`"));
  }
  if (recipe.teacher.kind() == "base" && !recipe.student.lora) {
    problems.add("teacher.kind",
                 "is `base`, the student without its adapters; it needs "
                 "`student.lora`");
  }
  if (const auto* several = recipe.teacher.options<SeveralTeachersOptions>()) {
    check_labels(*several, with_replay(recipe), problems);
  }
  check_losses(recipe, problems);
  check_tokenizers(recipe, problems);
  check_forgetting(recipe, problems);
  if (recipe.evaluate.every > 0 && recipe.data.eval.empty()) {
    problems.add("evaluate.every", "needs files in `data.eval`, and there are none");
  }
}

}  // namespace distill::recipe
