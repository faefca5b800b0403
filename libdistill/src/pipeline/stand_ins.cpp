#include "pipeline/stand_ins.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/data/data_path.h>
#include <distill/generation/generate_data.h>
#include <distill/io/logit_cache_writer.h>
#include <distill/lora/export_model.h>
#include <distill/models/outline.h>
#include <distill/recipe/cache.h>
#include <distill/recipe/path_names.h>
#include <distill/recipe/walk_texts.h>

#include "pipeline/run_stage.h"
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
      text.reserve(static_cast<std::size_t>(bytes()) + 32);
      for (std::int64_t n = 0; n < bytes(); n += std::ssize(kTwoWords)) text += kTwoWords;
      answers.push_back(generation::TextAnswer{.text = text, .as_written = " " + text});
    }
    return answers;
  }
  bool continues() const override { return continues_; }
  /// Of an answer, about. One that is longer than this is as any other to all who cut it.
  std::int64_t bytes() const {
    return std::min(tokens_ / 2 * std::ssize(kTwoWords), kMostOfAnswer);
  }
  std::string name() const override { return "planning"; }
  std::string hash() const override { return ""; }
  std::vector<std::pair<std::string, std::string>> settings() const override { return {}; }

 private:
  static constexpr std::string_view kTwoWords = " and so";
  static constexpr std::int64_t kMostOfAnswer = std::int64_t{1} << 20;
  std::int64_t tokens_;
  bool continues_;
};

struct FirstRows {
  std::int64_t prompts = 0;
  std::int64_t samples = 1;
  double rows_for_each = 1;
};

/// As many rows as show what all of them are like, few enough that no disk and no patience is asked
/// for; all where they are few.
FirstRows first_rows(const recipe::AnswerOptions& answers, std::int64_t prompts,
                     std::int64_t answer_bytes) {
  constexpr std::int64_t kMostBytes = std::int64_t{8} << 20;
  constexpr std::int64_t kBytesBeside = 600;
  constexpr std::int64_t kFew = 4;
  const std::int64_t most = std::max(kFew, kMostBytes / (answer_bytes + kBytesBeside));
  FirstRows first{prompts, answers.samples};
  if (first.samples > most / prompts) first.samples = std::min(first.samples, kFew);
  first.prompts = std::min(prompts, std::max<std::int64_t>(1, most / first.samples));
  first.rows_for_each = static_cast<double>(prompts) / static_cast<double>(first.prompts) *
                        static_cast<double>(answers.samples) / static_cast<double>(first.samples);
  return first;
}

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
      if (!recipe::is_within(text, real)) continue;
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
  const auto written = lora::export_dtypes(merge_options(merge)).written;
  models::write_outline(merge.model, {}, written, place(stage));
  note(stage);
}

void StandIns::add_cache(const recipe::Stage& stage, const recipe::PlannedModels& planned,
                         const recipe::DataParts& data, const std::function<void()>& between) {
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
      between();
      if (seen.insert(segment.key).second) writer.add(segment.key.words, segment.tokens, {});
    });
  }
  writer.sync();
  writer.finish(std::ssize(seen));
  note(stage);
}

void StandIns::add_rows(const recipe::Stage& stage, std::int64_t prompts,
                        const core::StopFlag* stop, core::Logger& log) {
  fs::create_directories(place(stage).parent_path());
  const recipe::Stage own = with_stand_ins(stage);
  const auto& answers = std::get<recipe::GenerateRecipe>(own.recipe).generate;
  LongestAnswers generator(answers.max_new_tokens, answers.chat_template == "none");
  const FirstRows first = first_rows(answers, prompts, generator.bytes());
  generation::GenerateDataOptions options;
  options.prompts = answers.prompts;
  options.out = place(stage);
  options.samples = first.samples;
  options.most_prompts = first.prompts;
  options.rows_at_once = 10;
  options.stop = stop;
  generation::generate_data(options, generator, nullptr, log);
  factors_[place(stage).string()] = first.rows_for_each;
  note(stage);
}

double StandIns::rows_for_each(const std::string& path) const {
  const auto found = factors_.find(path);
  return found == factors_.end() ? 1 : found->second;
}

std::string StandIns::token_folder(const recipe::Recipe& recipe) const {
  constexpr std::uintmax_t kLarge = std::uintmax_t{256} << 20;
  std::uintmax_t bytes = 0;
  for (const auto* files : {&recipe.data.train, &recipe.data.eval}) {
    for (const data::DataFile& file : *files) {
      for (const fs::path& path : data::expand_data_path(file.path)) {
        bytes += core::InputFile(path).size();
      }
    }
  }
  return bytes > kLarge ? recipe.data.cache : (root_ / "tokens").string();
}

bool StandIns::has_rows(const recipe::Recipe& recipe) const {
  bool found = false;
  recipe::Recipe copy = recipe;
  recipe::for_each_text(core::struct_ref(copy), [&](const std::string&, std::string& text) {
    found = found || factors_.contains(text);
  });
  return found;
}

}  // namespace distill::pipeline
