#include <algorithm>
#include <sstream>

#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/models/memory.h>
#include <distill/pipeline/pipeline_plan.h>
#include <distill/recipe/write.h>

#include "pipeline/disk.h"

namespace distill::pipeline {

namespace {

using core::concat;
using core::human_bytes;
using core::with_thousands;

const recipe::Stage& stage_of(const recipe::PipelineRecipe& recipe, const StagePlan& plan) {
  return *std::ranges::find(recipe.stages, plan.name, &recipe::Stage::name);
}

/// `12.3 TFLOP`: enough to compare stages.
std::string work_text(double work) {
  constexpr std::array<const char*, 7> kUnits = {"", "k", "M", "G", "T", "P", "E"};
  std::size_t unit = 0;
  for (; work >= 1000 && unit + 1 < kUnits.size(); ++unit) work /= 1000;
  return concat(core::fixed(work, 1), " ", kUnits[unit], "FLOP");
}

std::string overview(const PipelinePlan& plan) {
  core::Table table;
  table.add({"stage", "kind", "tokens", "work", "memory", "disk", "state"});
  for (const StagePlan& stage : plan.stages) {
    const auto unless_done = [&](std::string text) { return stage.is_done ? "" : text; };
    table.add({stage.name, std::string(recipe::name_of(stage.kind)),
               unless_done(with_thousands(stage.tokens)), unless_done(work_text(stage.work)),
               unless_done(human_bytes(stage.memory.total())),
               unless_done(human_bytes(stage.disk.total())), stage.state});
  }
  return table.text();
}

/// What plan_text says of one run, from its second part on: the recipe stands above.
std::string run_text(const recipe::Recipe& recipe, const Plan& plan) {
  const std::string whole = plan_text(recipe, plan);
  const auto begin = whole.find("\n# plan\n");
  return begin == std::string::npos ? whole : whole.substr(begin + 1);
}

void write_memory(core::JsonWriter& json, const MemoryEstimate& memory) {
  json.key("memory_bytes")
      .begin_object()
      .member("teacher", memory.teacher + memory.teacher_mapped + memory.teacher_answers)
      .member("student", memory.student + memory.student_mapped)
      .member("optimizer", memory.master + memory.moments)
      .member("gradients", memory.gradients)
      .member("activations", memory.activations + memory.one_layer)
      .member("other",
              memory.signal + memory.loss + memory.evaluation + memory.fit + memory.library)
      .member("total", memory.total())
      .end_object();
}

}  // namespace

std::string plan_text(const recipe::PipelineRecipe& recipe, const PipelinePlan& plan) {
  std::ostringstream out;
  out << "# resolved recipe\n" << recipe::write_recipe(recipe) << "\n# stages\n" << overview(plan);
  for (const auto& warning : plan.warnings) out << "warning  " << warning << "\n";
  out << "disk     " << human_bytes(plan.disk()) << " for all, "
      << free_text(plan.free_space, plan.disk()) << "\n";
  for (const StagePlan& stage : plan.stages) {
    if (stage.is_done) continue;
    out << "\n## stage " << stage.name << " (" << recipe::name_of(stage.kind) << ")\n";
    if (!stage.models.empty()) out << "models   " << stage.models << "\n";
    if (stage.plan) {
      out << run_text(stage_of(recipe, stage).run(), *stage.plan);
    } else {
      out << "disk     " << disk_text(stage.disk) << "\n";
      out << "memory   " << human_bytes(stage.memory.total()) << ", weights "
          << human_bytes(stage.memory.teacher + stage.memory.teacher_mapped + stage.memory.student)
          << "\n";
    }
  }
  return out.str();
}

std::string plan_json(const recipe::PipelineRecipe& recipe, const PipelinePlan& plan) {
  core::JsonWriter json(2);
  json.begin_object().member("recipe", recipe::write_recipe(recipe));
  json.member("disk_bytes", plan.disk());
  if (plan.free_space) json.member("free_bytes", *plan.free_space);
  json.key("warnings").begin_array();
  for (const auto& warning : plan.warnings) json.value(warning);
  json.end_array().key("stages").begin_array();
  for (const StagePlan& stage : plan.stages) {
    json.begin_object()
        .member("name", stage.name)
        .member("kind", recipe::name_of(stage.kind))
        .member("state", stage.state);
    if (!stage.is_done) {
      json.member("models", stage.models)
          .member("device", stage.device.str())
          .member("steps", stage.steps)
          .member("tokens", stage.tokens)
          .member("teraflop", stage.work / 1e12);
      write_memory(json, stage.memory);
      write_disk(json, stage.disk);
      if (stage.plan) {
        json.key("plan").raw(plan_json(stage_of(recipe, stage).run(), *stage.plan));
      }
    }
    json.end_object();
  }
  json.end_array().end_object();
  return json.text() + "\n";
}

}  // namespace distill::pipeline
