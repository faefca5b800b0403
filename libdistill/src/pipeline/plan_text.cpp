#include <cmath>
#include <iomanip>
#include <sstream>

#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/models/memory.h>
#include <distill/pipeline/plan.h>
#include <distill/recipe/write.h>

#include "pipeline/disk.h"

namespace distill::pipeline {

namespace {

using core::concat;
using core::human_bytes;
using core::with_thousands;

/// In percent, rounded down: whole ones, below 10 with two decimals. `part` may be any number of
/// times the whole.
std::string percent(std::int64_t part, std::int64_t whole) {
  if (whole <= 0) return "0 %";
  const double value = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  if (part > 0 && value < 10) {
    return concat(std::fixed, std::setprecision(2), std::floor(value * 100) / 100, " %");
  }
  return concat(std::fixed, std::setprecision(0), std::floor(value), " %");
}

std::string model_line(const recipe::ModelFacts& model) {
  std::string text =
      concat(model.folder.string(), ": ", with_thousands(model.num_parameters), " parameters, ");
  if (model.num_active_parameters != model.num_parameters) {
    text += concat(with_thousands(model.num_active_parameters), " of them active, ");
  }
  text += concat(model.layers.size(), " layers");
  if (std::ssize(model.layers) != model.folder_layers) text += concat(" of ", model.folder_layers);
  return text + concat(", hidden size ", model.hidden_size, ", ", with_thousands(model.vocab_size),
                       " ids");
}

std::string cache_line(const io::LogitCacheInfo& cache) {
  return concat(cache.folder.string(), ": cache, ", with_thousands(cache.segments), " segments, ",
                with_thousands(cache.positions), " positions, ", human_bytes(cache.bytes),
                ", hash ", cache.hash);
}

struct MemoryLine {
  const char* name;
  std::uint64_t bytes;
};

/// Where it is needed: all on the CPU, or all but LibTorch and the data on the GPU.
struct MemoryOf {
  std::string device;
  std::vector<MemoryLine> lines;
};

std::vector<MemoryOf> memory_of(const Plan& plan) {
  const MemoryEstimate& m = plan.memory;
  std::vector<MemoryLine> models = {{"teacher", m.teacher},
                                    {"teacher_mapped", m.teacher_mapped},
                                    {"teacher_answers", m.teacher_answers},
                                    {"student", m.student},
                                    {"student_mapped", m.student_mapped},
                                    {"master_weights", m.master},
                                    {"moments", m.moments},
                                    {"gradients", m.gradients},
                                    {"activations", m.activations},
                                    {"one_layer", m.one_layer},
                                    {"teacher_signal", m.signal},
                                    {"loss", m.loss},
                                    {"evaluation", m.evaluation},
                                    {"fit_at_the_start", m.fit}};
  const MemoryLine library{"library_and_data", m.library};
  if (plan.models.device.is_cpu()) {
    models.push_back(library);
    models.push_back({"total", m.total()});
    return {{"cpu", models}};
  }
  models.push_back({"total", m.total() - m.library});
  return {{plan.models.device.str(), models}, {"cpu", {library, {"total", m.library}}}};
}

std::string name_of(eval::SetKind kind) {
  return std::string(eval::choice_names(kind)[static_cast<std::size_t>(kind)]);
}

/// What is measured beside the held-out text.
std::string sets_line(const std::vector<PlannedSet>& sets) {
  std::vector<std::string> parts;
  for (const PlannedSet& set : sets) {
    parts.push_back(concat(set.name, " (", name_of(set.kind), ", ", with_thousands(set.rows),
                           set.rows == 1 ? " row)" : " rows)"));
  }
  return parts.empty() ? "" : concat("sets     ", core::join(parts), "\n");
}

/// The three of what trains.
std::string trained_line(const Plan& plan) {
  return concat("trained  ", with_thousands(plan.trainable_parameters),
                plan.models.adapters.empty() ? " parameters, " : " parameters of adapters, ",
                percent(plan.trainable_parameters, plan.models.student.num_parameters), "\n");
}
std::string train_text(const Plan& plan) {
  return concat("train ", with_thousands(plan.train_rows), " rows, ",
                with_thousands(plan.train_tokens), " tokens, ", with_thousands(plan.train_targets),
                " of them learned; ");
}
std::string steps_line(const recipe::Recipe& recipe, const Plan& plan) {
  return concat("steps    ", with_thousands(plan.steps), " of ", recipe.train.batch_size,
                " rows: about ", with_thousands(plan.run_tokens), " tokens, ",
                percent(plan.steps * recipe.train.batch_size, plan.train_rows), " of the data\n");
}

std::string available_text(at::Device device) {
  const auto available = models::available_memory(device);
  return available ? concat(human_bytes(*available), " available") : "how much there is is unknown";
}

}  // namespace

std::string plan_text(const recipe::Recipe& recipe, const Plan& plan) {
  const auto& models = plan.models;
  std::ostringstream out;
  out << "# resolved recipe\n" << recipe::write_recipe(recipe) << "\n# plan\n";
  if (models.teacher) out << "teacher  " << model_line(*models.teacher) << "\n";
  for (const auto& teacher : models.several) out << "teacher  " << model_line(teacher) << "\n";
  if (models.cache) out << "teacher  " << cache_line(*models.cache) << "\n";
  out << "student  " << model_line(models.student) << "\n"
      << (plan.steps > 0 ? trained_line(plan) : "") << "data     "
      << (plan.steps > 0 ? train_text(plan) : "") << "eval " << with_thousands(plan.eval_rows)
      << " rows, " << with_thousands(plan.eval_tokens) << " tokens\n"
      << sets_line(plan.sets) << (plan.steps > 0 ? steps_line(recipe, plan) : "") << "device   "
      << models.device.str() << "\n"
      << "disk     " << disk_text(plan.disk) << "; "
      << free_text(plan.free_space, plan.disk.total()) << "\n"
      << "\n# before training\n"
      << recipe::preflight_text(plan.preflight, "");
  if (plan.steps > 0) out << "\n# training data\n" << data::report_text(plan.train_data, "");
  if (plan.eval_data) out << "\n# held-out data\n" << data::report_text(*plan.eval_data, "");
  for (const auto& [device, lines] : memory_of(plan)) {
    out << "\n# memory, estimated (" << device << ", " << available_text(at::Device(device))
        << ")\n";
    core::Table memory;
    for (const auto& line : lines) {
      if (line.bytes > 0) memory.add({line.name, human_bytes(line.bytes)});
    }
    out << memory.text();
  }
  if (!plan.memory_warning.empty()) out << "warning  " << plan.memory_warning << "\n";
  return out.str();
}

std::string plan_json(const recipe::Recipe& recipe, const Plan& plan) {
  core::JsonWriter json(2);
  const auto model_object = [&json](const recipe::ModelFacts& facts) {
    json.begin_object()
        .member("path", facts.folder.string())
        .member("parameters", facts.num_parameters)
        .member("active_parameters", facts.num_active_parameters)
        .member("layers", static_cast<std::int64_t>(facts.layers.size()))
        .end_object();
  };
  const auto model = [&](const char* name, const recipe::ModelFacts& facts) {
    json.key(name);
    model_object(facts);
  };
  json.begin_object().member("recipe", recipe::write_recipe(recipe));
  if (plan.models.teacher) model("teacher", *plan.models.teacher);
  if (!plan.models.several.empty()) {
    json.key("teachers").begin_array();
    for (const auto& teacher : plan.models.several) model_object(teacher);
    json.end_array();
  }
  if (plan.models.cache) {
    json.key("teacher_cache")
        .begin_object()
        .member("path", plan.models.cache->folder.string())
        .member("hash", plan.models.cache->hash)
        .member("positions", plan.models.cache->positions)
        .member("bytes", plan.models.cache->bytes)
        .end_object();
  }
  model("student", plan.models.student);
  json.member("trainable_parameters", plan.trainable_parameters)
      .member("steps", plan.steps)
      .member("train_rows", plan.train_rows)
      .member("train_tokens", plan.train_tokens)
      .member("train_targets", plan.train_targets)
      .member("eval_rows", plan.eval_rows)
      .member("eval_tokens", plan.eval_tokens)
      .member("eval_targets", plan.eval_targets)
      .member("run_tokens", plan.run_tokens);
  json.key("sets").begin_array();
  for (const PlannedSet& set : plan.sets) {
    json.begin_object()
        .member("name", set.name)
        .member("kind", name_of(set.kind))
        .member("rows", set.rows)
        .end_object();
  }
  json.end_array();
  json.member("device", plan.models.device.str());
  if (!plan.memory_warning.empty()) json.member("memory_warning", plan.memory_warning);
  write_disk(json, plan.disk);
  if (plan.free_space) json.member("free_bytes", *plan.free_space);
  recipe::write_json(json.key("checks"), plan.preflight);
  data::write_json(json.key("train_data"), plan.train_data);
  if (plan.eval_data) data::write_json(json.key("eval_data"), *plan.eval_data);
  json.key("memory_bytes").begin_object();
  for (const auto& [device, lines] : memory_of(plan)) {
    json.key(device).begin_object();
    for (const auto& line : lines) json.member(line.name, line.bytes);
    json.end_object();
  }
  json.end_object().end_object();
  return json.text() + "\n";
}

}  // namespace distill::pipeline
