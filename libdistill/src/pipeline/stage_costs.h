#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <distill/pipeline/pipeline_plan.h>
#include <distill/recipe/wiring.h>

/// What a stage takes of time, memory and disk, from shapes alone.
namespace distill::pipeline {

/// Fills in `work`, `tokens`, `steps` and `disk` of a run with its plan.
void add_run_costs(const recipe::Recipe& recipe, StagePlan& stage);
/// The same of a stage that evaluates; its memory too, in which no optimizer is.
void add_evaluation_costs(const recipe::Recipe& recipe, StagePlan& stage);
/// Of a capture. `factor`: of rows that are not all there yet.
void add_capture_costs(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                       const recipe::DataParts& data, const RowFactor& factor, StagePlan& stage);
/// Of a teacher that writes answers to so many prompts.
void add_generate_costs(const recipe::GenerateRecipe& recipe, std::int64_t prompts,
                        StagePlan& stage);
void add_merge_costs(const recipe::MergeRecipe& recipe, StagePlan& stage);

/// Calls `take` with the memory of each stage that is not done, and of each of its further tries,
/// and what to call it.
void for_each_memory(const PipelinePlan& plan,
                     const std::function<void(const StagePlan&, const MemoryEstimate&,
                                              const std::string& name)>& take);

}  // namespace distill::pipeline
