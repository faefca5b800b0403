#include "pipeline/stand_ins.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/generation/generate_data.h>
#include <distill/io/logit_cache_writer.h>
#include <distill/io/safetensors.h>
#include <distill/models/outline.h>
#include <distill/recipe/cache.h>

#include "pipeline/stage_inputs.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

/// Answers everything with as many words as it may write.
class LongestAnswers final : public generation::TextGenerator {
 public:
  LongestAnswers(std::int64_t tokens, bool continues) : tokens_(tokens), continues_(continues) {}

  std::vector<std::optional<generation::TextAnswer>> converse(
      const std::vector<generation::Conversation>& chats, std::uint64_t seed) override {
    std::vector<std::optional<generation::TextAnswer>> answers;
    for (std::size_t i = 0; i < chats.size(); ++i) {
      // Different each time: the same answer to one prompt would be left out.
      std::string text = core::concat(seed, ' ', i);
      for (std::int64_t word = 0; word < tokens_ / 2; ++word) text += " and so";
      answers.push_back(generation::TextAnswer{.text = text, .as_written = " " + text});
    }
    return answers;
  }
  bool continues() const override { return continues_; }
  std::string name() const override { return "planning"; }
  std::string hash() const override { return ""; }
  std::vector<std::pair<std::string, std::string>> settings() const override { return {}; }

 private:
  std::int64_t tokens_;
  bool continues_;
};

fs::path new_folder(const fs::path& scratch) {
  std::string pattern = (scratch / "distill-plan-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    const int code = errno;
    fail<IoError>(core::shown(scratch), ": could not make a folder in it for planning: ",
                  std::generic_category().message(code));
  }
  return pattern;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
}

}  // namespace

StandIns::StandIns(const fs::path& scratch, fs::path output)
    : root_(new_folder(scratch)), output_(std::move(output)) {}

StandIns::~StandIns() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

fs::path StandIns::place(const recipe::Stage& stage) const {
  return root_ / "stages" / stage.name / stage.output().filename();
}

void StandIns::note(const recipe::Stage& stage) {
  made_.insert(stage.name);
}

recipe::Stage StandIns::with_stand_ins(recipe::Stage stage) const {
  for_each_text(stage, [this](const std::string& key, std::string& text) {
    if (key == "output") return;
    for (const std::string& name : made_) {
      const fs::path real = output_ / "stages" / name;
      if (!is_within(text, real)) continue;
      text = (root_ / "stages" / name / fs::path(text).lexically_relative(real)).string();
      break;
    }
  });
  return stage;
}

std::string StandIns::real_names(std::string text) const {
  replace_all(text, root_.string(), output_.string());
  return text;
}

void StandIns::add_model(const recipe::Stage& stage, const recipe::PlannedModels& planned) {
  fs::create_directories(place(stage));
  models::write_outline(planned.student.folder, planned.student.layers,
                        recipe::dtype_of(stage.run().precision), place(stage));
  note(stage);
}

void StandIns::add_merged(const recipe::Stage& stage) {
  const auto merge = std::get<recipe::MergeRecipe>(with_stand_ins(stage).recipe);
  fs::create_directories(place(stage));
  models::write_outline(merge.model, {}, merged_dtype(merge), place(stage));
  note(stage);
}

void StandIns::add_cache(const recipe::Stage& stage, const recipe::PlannedModels& planned,
                         const recipe::DataParts& data) {
  fs::create_directories(place(stage).parent_path());
  const recipe::Stage own = with_stand_ins(stage);
  const bool hidden =
      recipe::cache_teacher(own.run())->form_or_default() == io::SignalForm::kHidden;
  io::LogitCacheWriter writer(
      place(stage), recipe::cache_spec(own.run(), planned, data, hidden ? "planned" : ""), {});
  writer.find_written();
  std::set<types::SegmentKey> seen;
  for (const auto& dataset : {data.train, data.eval}) {
    if (!dataset) continue;
    recipe::for_each_segment(*dataset, [&](const recipe::SegmentPlace& segment) {
      if (seen.insert(segment.key).second) writer.add(segment.key.words, segment.tokens, {});
    });
  }
  writer.sync();
  writer.finish(std::ssize(seen));
  note(stage);
}

void StandIns::add_rows(const recipe::Stage& stage, core::Logger& log) {
  fs::create_directories(place(stage).parent_path());
  const recipe::Stage own = with_stand_ins(stage);
  const auto& answers = std::get<recipe::GenerateRecipe>(own.recipe).generate;
  LongestAnswers generator(answers.max_new_tokens, answers.chat_template == "none");
  generation::GenerateDataOptions options;
  options.prompts = answers.prompts;
  options.out = place(stage);
  options.samples = answers.samples;
  options.rows_at_once = 1000;
  generation::generate_data(options, generator, nullptr, log);
  note(stage);
}

c10::ScalarType merged_dtype(const recipe::MergeRecipe& recipe) {
  if (recipe.dtype == recipe::MergeDtype::kFp32) return c10::ScalarType::Float;
  if (recipe.dtype == recipe::MergeDtype::kBf16) return c10::ScalarType::BFloat16;
  const auto weights = io::SafetensorsFolder::open(recipe.model);
  for (const auto& [name, location] : weights.tensors()) {
    const auto dtype = location.entry->dtype;
    if (dtype == c10::ScalarType::BFloat16 || dtype == c10::ScalarType::Float8_e4m3fn) {
      return c10::ScalarType::BFloat16;
    }
  }
  return c10::ScalarType::Float;
}

}  // namespace distill::pipeline
