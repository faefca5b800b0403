#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <distill/core/log.h>
#include <distill/core/registry.h>
#include <distill/core/stop_flag.h>
#include <distill/losses/loss.h>
#include <distill/models/causal_lm.h>
#include <distill/recipe/options.h>
#include <distill/teachers/teacher.h>
#include <distill/train/optimizer.h>

namespace distill::recipe {

/// The value of a secret by its name, such as that of an environment variable; empty: there is
/// none.
using SecretSource = std::function<std::string(const std::string& name)>;

/// What a run gets from the program around it.
struct Surroundings {
  const core::StopFlag* stop = nullptr;  ///< ends long waits; may be null
  SecretSource secret = {};              ///< empty: no secret can be had
};

/// What a teacher is made from, beside its own options.
struct TeacherContext {
  Precision precision = Precision::kFp32;
  core::Logger& log;
  /// A model the caller holds already, used instead of opening the folder. May be null.
  std::shared_ptr<models::CausalLm> loaded;
  at::Device device = at::kCPU;  ///< where the student is
  /// The model that is trained; null before it is loaded.
  std::shared_ptr<models::CausalLm> student = {};
  std::filesystem::path student_folder = {};  ///< with its tokenizer
  std::int64_t sequence_length = 0;           ///< longest rows that it is asked for
  bool across_tokenizers = false;             ///< it reads the text in tokens of its own
  Surroundings surroundings = {};
};

/// A factory may return null: there is no teacher.
using TeacherRegistry = core::Registry<teachers::Teacher, const TeacherContext&>;

/// Everything a recipe can pick by `kind:`. Users add their own kinds before reading a recipe. It
/// must outlive the recipes made with it.
struct Registries {
  losses::LossRegistry losses;
  TeacherRegistry teachers;
  train::OptimizerRegistry optimizers;
};

/// The kinds that come with the library, in explicit lists.
Registries builtin_registries();

/// `local`, `base`, `cache`, `server`, `several` and `none`.
void add_builtin_teachers(TeacherRegistry& registry);

}  // namespace distill::recipe
