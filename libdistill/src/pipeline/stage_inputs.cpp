#include "pipeline/stage_inputs.h"

#include <algorithm>
#include <optional>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/data/data_path.h>
#include <distill/io/logit_cache.h>
#include <distill/models/outline.h>
#include <distill/recipe/cache.h>
#include <distill/recipe/path_names.h>
#include <distill/recipe/read.h>
#include <distill/recipe/several_teachers.h>
#include <distill/recipe/walk_texts.h>

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

using Kind = StageInput::Kind;

bool asks_server(const recipe::Stage& stage) {
  return std::visit(
      [](const auto& any) {
        if constexpr (requires { any.teacher; }) {
          return any.teacher.kind() == "server";
        } else {
          return false;
        }
      },
      stage.recipe);
}

/// What a text of a recipe names; nothing: no file.
std::optional<Kind> kind_of(const recipe::Stage& stage, const std::string& key) {
  if (key == "teacher.model" && asks_server(stage)) return std::nullopt;
  if (key == "teacher.path") return Kind::kCache;
  if (key == "teacher.tokenizer") return Kind::kTokenizer;
  if (key == "adapter") return Kind::kAdapter;
  if (key == "generate.prompts") return Kind::kData;
  const bool names_rows = key.starts_with("data.") || key.starts_with("evaluate.sets.") ||
                          key.starts_with("forgetting.react.replay.");
  if (names_rows && key.ends_with(".path")) return Kind::kData;
  if (key == "model" || key == "student.model" || key == "teacher.model" ||
      (key.starts_with("teacher.teachers.") && key.ends_with(".model"))) {
    return Kind::kModel;
  }
  return std::nullopt;
}

/// A student of its own learns from a cache alone, whatever has become of the teacher.
bool is_unread(const recipe::Stage& stage, const std::string& key) {
  const auto* run = std::get_if<recipe::Recipe>(&stage.recipe);
  if (key != "teacher.model" || stage.kind != recipe::StageKind::kTrain || run == nullptr)
    return false;
  const auto& init = run->student.init;
  const bool of_teacher = init && init->from == recipe::InitFrom::kTeacher;
  return run->teacher.kind() == "cache" && run->student.model.has_value() && !of_teacher;
}

std::vector<fs::path> regular_files(const fs::path& folder) {
  if (!core::is_folder(folder)) fail<InputError>(core::shown(folder), ": no such folder");
  std::vector<fs::path> files;
  for (const fs::path& path : core::list_folder(folder)) {
    if (!core::is_folder(path) && path.filename() != ".lock") files.push_back(path);
  }
  return files;
}

std::vector<fs::path> tokenizer_files(const fs::path& folder) {
  std::vector<fs::path> files = regular_files(folder);
  std::erase_if(files, [](const fs::path& path) {
    const std::string name = path.filename().string();
    return name.find("token") == std::string::npos &&
           name.find("chat_template") == std::string::npos;
  });
  return files;
}

}  // namespace

std::vector<fs::path> StageInput::files() const {
  switch (kind) {
    case Kind::kModel:
      if (!core::is_folder(path)) fail<InputError>(core::shown(path), ": no such folder");
      return models::model_files(path);
    case Kind::kTokenizer:
      return tokenizer_files(path);
    case Kind::kCache:  // its description has a hash of all
      if (!core::path_exists(path / "cache.json")) io::read_logit_cache_info(path);  // says why not
      return {path / "cache.json"};
    case Kind::kAdapter:
      return regular_files(path);
    case Kind::kData: {
      const auto files = data::expand_data_path(path.string());
      for (const auto& file : files) {
        if (!core::path_exists(file)) fail<InputError>(core::shown(file), ": no such file");
      }
      return files;
    }
  }
  return {};
}

recipe::Stage with_settings(recipe::Stage stage, const std::vector<std::string>& set) {
  if (!set.empty()) stage.recipe = recipe::changed_recipe(stage.run(), set);
  return stage;
}

std::vector<StageInput> external_inputs(const recipe::Stage& stage, const fs::path& output) {
  std::vector<StageInput> inputs;
  recipe::Stage copy = stage;
  for_each_text(copy, [&](const std::string& key, const std::string& text) {
    const auto kind = kind_of(stage, key);
    if (!kind || text.empty() || recipe::is_within(text, output / "stages")) return;
    if (is_unread(stage, key)) return;
    // A stage that evaluates has its data twice.
    if (stage.kind == recipe::StageKind::kEvaluate && key.starts_with("data.train.")) return;
    inputs.push_back({*kind, key, text});
  });
  return inputs;
}

std::vector<std::string> missing_inputs(const recipe::Stage& stage, const fs::path& output) {
  std::vector<std::string> problems;
  for (const StageInput& input : external_inputs(stage, output)) {
    try {
      input.files();
    } catch (const InputError& error) {
      problems.push_back(core::concat(stage.source.where(input.key), ": ", error.what()));
    }
  }
  return problems;
}

bool reads_result(recipe::Stage stage, const recipe::Stage& earlier) {
  bool found = false;
  for_each_text(stage, [&](const std::string&, std::string& text) {
    found = found || recipe::is_within(text, earlier.output());
  });
  return found;
}

void for_each_text(recipe::Stage& stage,
                   const std::function<void(const std::string&, std::string&)>& take) {
  std::visit([&](auto& any) { recipe::for_each_text(core::struct_ref(any), take); }, stage.recipe);
}

std::string student_of(const recipe::Stage& stage) {
  if (const auto* merge = std::get_if<recipe::MergeRecipe>(&stage.recipe)) {
    return core::concat(merge->model, " + ", merge->adapter);
  }
  const auto* run = std::get_if<recipe::Recipe>(&stage.recipe);
  if (run == nullptr || stage.kind == recipe::StageKind::kCache) return "";
  if (run->student.model) return *run->student.model;
  return core::concat("layers of ", teacher_of(stage));
}

std::string teacher_of(const recipe::Stage& stage) {
  const auto name = [](const auto& any) -> std::string {
    if constexpr (requires { any.teacher; }) {
      const auto& teacher = any.teacher;
      if (const auto* local = teacher.template options<recipe::LocalTeacherOptions>()) {
        return local->model;
      }
      if (const auto* cache = teacher.template options<recipe::CacheTeacherOptions>()) {
        return cache->model.value_or(cache->path);
      }
      if (const auto* server = teacher.template options<recipe::ServerTeacherOptions>()) {
        return core::concat(server->model, " at ", server->url);
      }
      if (const auto* several = teacher.template options<recipe::SeveralTeachersOptions>()) {
        std::vector<std::string> models;
        for (const auto& one : several->teachers) models.push_back(one.model);
        return core::join(models);
      }
      return teacher.kind() == "none" ? "" : teacher.kind();
    } else {
      return "";
    }
  };
  return std::visit(name, stage.recipe);
}

}  // namespace distill::pipeline
