// configs/671b_to_32b_to_7b.yaml as it stands, with a served teacher that has another tokenizer:
// it answers prompts, its likelihoods train the assistant, and that one is merged and teaches the
// student token by token. Only sizes, rates and addresses are others than the recipe's.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/io/jsonl.h>
#include <distill/models/load.h>
#include <distill/text/tokenizer.h>

#include "integration/tiny_run.h"
#include "support/http_server.h"
#include "support/score_server.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kPrompts = 12;
constexpr std::int64_t kFirstMerged = 259;  ///< of the tiny model's ids, behind specials and bytes
constexpr const char* kRun = "runs/671b_to_32b_to_7b";

/// The tiny model's tokenizer without its merges: each byte of a text is a token.
void write_byte_tokenizer(const fs::path& folder) {
  fs::create_directories(folder);
  const std::string text = core::read_file(tiny_model() / "tokenizer.json", 1 << 20);
  const auto merges = text.find("\"merges\": [");
  ASSERT_NE(merges, std::string::npos);
  std::ofstream(folder / "tokenizer.json") << text.substr(0, merges) << "\"merges\": []}}";
  fs::copy_file(tiny_model() / "tokenizer_config.json", folder / "tokenizer_config.json");
}

void write_conversations(const fs::path& path) {
  std::ofstream rows(path);
  for (int i = 0; i < kPrompts; ++i) {
    rows << R"({"messages": [{"role": "user", "content": "What is )" << i
         << R"( and two?"}, {"role": "assistant", "content": "It is )" << i + 2 << R"(."}]})"
         << "\n";
  }
}

/// An answer to one of these prompts, another one for another seed.
HttpReply say(const HttpCall& call) {
  constexpr const char* kThings[] = {"sacks", "rivers",  "birds", "boats",
                                     "books", "windows", "maps"};
  const auto value = io::parse_json(call.body, "body");
  const io::JsonCursor body(value, "body");
  const std::string prompt = body.at("messages").at(std::size_t{0}).at("content").as_string();
  const int number = std::stoi(prompt.substr(std::string("What is ").size()));
  const auto thing = static_cast<std::size_t>(body.at("seed").as_int()) % std::size(kThings);
  core::JsonWriter json;
  json.begin_object().member("model", body.at("model").as_string());
  json.key("choices").begin_array().begin_object().member("index", 0);
  json.member("finish_reason", "stop").key("message").begin_object();
  json.member("content", core::concat("It is ", number + 2, ", as with ", number, " ",
                                      kThings[thing], " and two."));
  json.end_object().end_object().end_array().end_object();
  return reply(200, json.text());
}

/// The server's answer in a text that holds one.
std::optional<std::string> answer_in(const std::string& text) {
  const auto first = text.rfind("It is ");
  const std::string end = " and two.";
  if (text.find(", as with ") == std::string::npos || first == std::string::npos) return {};
  return text.substr(first, text.find(end, first) + end.size() - first);
}

class ServedChain : public ::testing::Test {
 protected:
  ServedChain() {
    for (const char* name : {"Qwen2.5-32B", "Qwen2.5-7B"}) {
      fs::create_directories(folder_ / "models");
      fs::copy(tiny_model(), folder_ / "models" / name);
    }
    fs::create_directories(folder_ / "data");
    for (const char* name : {"prompts.jsonl", "train.jsonl", "eval.jsonl"}) {
      write_conversations(folder_ / "data" / name);
    }
    scores_.name = "deepseek-r1";
    scores_.max_tokens = 256;
    scores_.spell = [this](std::int64_t id) { return tokenizer_->decode({id}, false); };
    scores_.tokenize = [this](const std::string& text) { return tokenizer_->encode(text, false); };
  }
  ProgramResult train() {
    const std::string url = server_.url("/v1");
    return run_program(
        {"/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder_.path().string(), DISTILL_TRAIN_BINARY,
         DISTILL_SOURCE_DIR "/configs/671b_to_32b_to_7b.yaml", "device=cpu",
         "data.sequence_length=96", "train.batch_size=2", "stages.answers.teacher.url=" + url,
         "stages.assistant.teacher.url=" + url, "stages.assistant.teacher.max_tokens=255",
         "stages.assistant.student.lora.rank=8", "stages.assistant.train.optimizer.lr=1.0e-2",
         "stages.assistant.train.schedule.warmup_steps=1",
         "stages.student_7b.student.init={from: model, keep_layers: 2}",
         "stages.student_7b.train.steps=120", "stages.student_7b.train.optimizer.lr=5.0e-3",
         "stages.student_7b.train.schedule.warmup_steps=1"},
        {.environment = {{"XDG_CACHE_HOME", (folder_ / "cache").string()}}});
  }
  fs::path in_run(const std::string& name) const { return folder_ / kRun / name; }
  /// How often the steps of a stage name a figure, which must be above 0 each time.
  int count_figures(const std::string& stage, const std::string& name) const {
    io::JsonlReader lines(in_run("stages/" + stage + "/metrics.jsonl"));
    int count = 0;
    while (const auto row = lines.next()) {
      const io::JsonCursor line(row->value, row->source);
      if (!line.has(name)) continue;
      EXPECT_GT(line.at(name).as_double(), 0) << row->source;
      ++count;
    }
    return count;
  }
  /// A figure of a stage's evaluation, `before` or `after`.
  double figure(const std::string& stage, const std::string& when, const std::string& name) const {
    const auto value = io::read_json_file(in_run("stages/" + stage + "/report.json"));
    return io::JsonCursor(value, "report.json").at(when).at(name).as_double();
  }
  /// The answers that the first stage wrote.
  std::set<std::string> generated() const {
    std::set<std::string> rows;
    io::JsonlReader lines(in_run("stages/answers/data.jsonl"));
    while (const auto row = lines.next()) {
      const io::JsonCursor messages = io::JsonCursor(row->value, row->source).at("messages");
      EXPECT_TRUE(rows.insert(messages.at(std::size_t{1}).at("content").as_string()).second);
    }
    return rows;
  }
  /// The texts whose likelihood was asked for, each in the served model's own tokens.
  std::vector<std::string> scored_texts() const {
    std::vector<std::string> texts;
    for (const auto& call : server_.calls()) {
      if (call.path != "/v1/completions") continue;
      const auto value = io::parse_json(call.body, "body");
      const io::JsonCursor list = io::JsonCursor(value, "body").at("prompt");
      std::vector<std::int64_t> ids;
      for (std::size_t i = 0; i < list.size(); ++i) ids.push_back(list.at(i).as_int());
      EXPECT_LT(*std::ranges::max_element(ids), kFirstMerged) << "a token of the student's";
      texts.push_back(tokenizer_->decode(ids, false));
    }
    return texts;
  }

  TempFolder folder_;
  const fs::path served_ = [this] {
    write_byte_tokenizer(folder_ / "models/DeepSeek-R1");
    return folder_ / "models/DeepSeek-R1";
  }();
  std::shared_ptr<const text::Tokenizer> tokenizer_ = text::load_tokenizer(served_);
  ScoreServer scores_{models::load_causal_lm(tiny_model(), {})};
  HttpServer server_{[this](const HttpCall& call) {
    return call.path == "/v1/chat/completions" ? say(call) : scores_(call);
  }};
};

TEST_F(ServedChain, TheRecipeRunsFromTheServersAnswersToTheSmallStudent) {
  const auto done = train();
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const auto asks = [](const HttpCall& call) { return call.path == "/v1/chat/completions"; };
  EXPECT_EQ(std::ranges::count_if(server_.calls(), asks), 2 * kPrompts);
  const auto rows = generated();
  EXPECT_GT(rows.size(),
            kPrompts);  // two samples of a prompt may be the same, and are one row then

  // Each row's likelihood counts in both epochs. It may be asked for once: what is asked at the end
  // of the first and wanted again at the beginning of the second is the same question.
  std::map<std::string, int> asked;
  for (const auto& text : scored_texts()) {
    if (auto answer = answer_in(text)) ++asked[*answer];
  }
  for (const auto& row : rows)
    EXPECT_TRUE(asked[row] == 1 || asked[row] == 2) << row << ": " << asked[row];
  EXPECT_EQ(asked.size(), rows.size()) << "texts that are no row";
  EXPECT_EQ(count_figures("assistant", "alm"), std::ssize(rows));  // two epochs of batches of two
  EXPECT_LT(figure("assistant", "after", "perplexity"),
            0.7 * figure("assistant", "before", "perplexity"));
  EXPECT_NE(core::hash_file(in_run("stages/assistant_32b/final/model.safetensors")),
            core::hash_file(tiny_model() / "model.safetensors"));

  EXPECT_EQ(count_figures("student_7b", "forward_kl"), 120);
  EXPECT_EQ(count_figures("student_7b", "alm"), 0);
  EXPECT_LT(figure("student_7b", "after", "kl_to_teacher"),
            0.5 * figure("student_7b", "before", "kl_to_teacher"));
  EXPECT_TRUE(fs::exists(in_run("final/model.safetensors")));
}

}  // namespace
}  // namespace distill::testing
