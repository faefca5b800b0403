#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>

#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/recipe/pipeline_recipe.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// Results of stages that are not there yet, as they will be in all but their values: models whose
/// weights are holes, caches of every segment without a signal, the first rows with answers of the
/// longest length. What plans and checks a run then reads them as it would read the real ones.
class StandIns {
 public:
  /// Makes a folder of its own in `scratch`, which goes with this object. `output`: of the
  /// pipeline.
  StandIns(const std::filesystem::path& scratch, std::filesystem::path output);
  ~StandIns();
  StandIns(const StandIns&) = delete;
  StandIns& operator=(const StandIns&) = delete;

  /// The stage with stand-ins in the place of results that have one.
  recipe::Stage with_stand_ins(recipe::Stage stage) const;
  /// A path of a stand-in in a text becomes that of what it stands for.
  std::string real_names(std::string text) const;

  /// `planned`: the student of the stage, as it is planned with stand-ins.
  void add_model(const recipe::Stage& stage, const recipe::PlannedModels& planned);
  /// The stage's adapter is not written; what merges it needs its base alone.
  void add_merged(const recipe::Stage& stage);
  /// Of the cache of these models and data.
  void add_cache(const recipe::Stage& stage, const recipe::PlannedModels& planned,
                 const recipe::DataParts& data, const std::function<void()>& between);
  /// The first of the rows that so many prompts give, as many as a few megabytes hold. Throws
  /// Interrupted when stopped.
  void add_rows(const recipe::Stage& stage, std::int64_t prompts, const core::StopFlag* stop,
                core::Logger& log);
  /// How many rows there will be for each of the file that stands in at this path; 1 for any other.
  double rows_for_each(const std::string& path) const;
  /// The recipe reads rows that stand in: their tokens are of no use later.
  bool has_rows(const recipe::Recipe& recipe) const;
  /// Where tokens of such a recipe are kept, in the form of `data.cache`: in a folder that goes
  /// with this object; beside large files, whose tokens the run will want, where the recipe says.
  std::string token_folder(const recipe::Recipe& recipe) const;

 private:
  std::filesystem::path place(const recipe::Stage& stage) const;
  void note(const recipe::Stage& stage);

  std::filesystem::path root_;
  std::filesystem::path output_;
  std::set<std::string> made_;             ///< names of stages
  std::map<std::string, double> factors_;  ///< rows_for_each, by path
};

}  // namespace distill::pipeline
