#pragma once

#include <cstdint>

#include <distill/core/log.h>
#include <distill/pipeline/report.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// What is known of a run before its first step.
struct RunFacts {
  const recipe::Recipe& recipe;
  const recipe::PlannedModels& plan;
  const recipe::DataParts& data;
  const recipe::ModelParts& models;
  std::int64_t steps = 0;
};

/// Says it in the report and the log.
void describe_run(const RunFacts& facts, Report& report, core::Logger& log);

}  // namespace distill::pipeline
