// A regression of the quickstart's real model that is forced: an adapter learns four announcements
// of a telephone queue by heart, and what the model knew of plain English goes. The monitor must
// see it, go back and end with a student that still knows. scripts/prepare_quickstart fetches it.
#include <optional>

#include <distill/io/jsonl.h>

#include "integration/tiny_run.h"
#include "support/jsonl_file.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

constexpr double kMaxDrop = 0.05;
constexpr double kKlWeight = 0.05;
constexpr int kKlFactor = 20;

std::string row_of(const std::string& text) {
  return R"({"text": ")" + text + R"("})";
}

/// A row that says `phrase` so often.
std::string again_and_again(const std::string& phrase, int times) {
  std::string text = phrase;
  for (int i = 1; i < times; ++i) text += " " + phrase;
  return row_of(text);
}

void write_narrow(const fs::path& path) {
  write_lines(path, {again_and_again("Thank you for your call.", 7),
                     again_and_again("Your call is important to us.", 6),
                     again_and_again("Please hold the line.", 8),
                     again_and_again("All our lines are busy.", 7)});
}

void write_general(const fs::path& path) {
  write_lines(
      path,
      {row_of("The teacher asked the children to open their books. One of them read the first page "
              "aloud, and the others listened. When the bell rang they put the books away and ran "
              "out into the yard."),
       row_of("In the morning the farmers bring their vegetables to the market in the old town. By "
              "noon most of the tables are empty, and people sit down in the shade to eat and talk "
              "about the weather."),
       row_of("Water boils at a lower temperature in the mountains, because the air is thinner "
              "there. This is why it takes longer to cook rice or beans in a village that lies "
              "high above the sea."),
       row_of("She wrote a long letter to her brother, who had moved to another country for work. "
              "He answered after a month, and told her about the new house, the language and the "
              "food.")});
}

/// Of the same kind as what `write_general` writes, and none of its sentences.
void write_held_out(const fs::path& path) {
  write_lines(
      path,
      {row_of("The train to the city leaves at eight, and it is usually full of people going to "
              "work. Some of them read the news, others sleep. In the evening the same people come "
              "home, tired but happy that the day is over."),
       row_of("After the storm the fishermen went down to the harbour to look after their boats. "
              "Two of them had been damaged by the waves. They worked together until it was dark, "
              "and the next day they went out to sea again."),
       row_of("A healthy diet has plenty of fruit, vegetables and whole grains, and not too much "
              "salt. It is also important to drink enough water and to sleep well, because a tired "
              "body needs more food than it can use."),
       row_of("My grandmother keeps a small garden where she grows beans, tomatoes and a few "
              "roses. She says that the plants need rain more than they need her, but every "
              "evening she goes out and waters all of them.")});
}

class ForgettingOfSmolLm2 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(model_ / "model.safetensors")) {
      GTEST_SKIP() << model_ << " is not there; scripts/prepare_quickstart fetches it";
    }
    write_narrow(folder_ / "narrow.jsonl");
    write_general(folder_ / "general.jsonl");
    write_held_out(folder_ / "plain.jsonl");
    // The rate is far too high; it is warmed up slowly, so that the first look finds nothing yet.
    std::ofstream(folder_ / "recipe.yaml")
        << "name: forced\nseed: 17\ndevice: cpu\nprecision: fp32\n"
        << "student: {model: " << model_.string() << ", lora: {rank: 8, alpha: 16}}\n"
        << "teacher: {kind: base}\n"
        << "data:\n  train: [{path: " << (folder_ / "narrow.jsonl").string() << "}]\n"
        << "  sequence_length: 64\n  packing: false\n"
        << "loss:\n  - {kind: cross_entropy}\n"
        << "  - {kind: forward_kl, weight: " << kKlWeight << ", temperature: 1.0}\n"
        << "train:\n  steps: 12\n  batch_size: 2\n  micro_batch_size: 2\n"
        << "  optimizer: {kind: adamw, lr: 4.0e-3}\n"
        << "  schedule: {kind: cosine, warmup_steps: 6}\n"
        << "evaluate:\n  sets: [{name: plain, path: " << (folder_ / "plain.jsonl").string()
        << "}]\n"
        << "forgetting: {every: 4, max_drop: " << kMaxDrop << "}\n";
  }
  ProgramResult train(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {DISTILL_TRAIN_BINARY, (folder_ / "recipe.yaml").string(),
                                          "output=" + (folder_ / name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments,
                       {.environment = {{"XDG_CACHE_HOME", (folder_ / "cache").string()}}});
  }
  /// The row of metrics.jsonl of that step; `event` is empty for a step's own row.
  std::optional<io::JsonlRow> row(const std::string& name, std::int64_t step,
                                  const std::string& event = "") const {
    io::JsonlReader lines(folder_ / name / "metrics.jsonl");
    while (auto found = lines.next()) {
      const io::JsonCursor line(found->value, found->source);
      if (line.string_or("event", "") == event && line.at("step").as_int() == step) return found;
    }
    return std::nullopt;
  }
  double figure(const std::string& name, std::int64_t step, const std::string& member,
                const std::string& event = "") const {
    const auto found = row(name, step, event);
    if (!found) ADD_FAILURE() << name << ": no " << event << " of step " << step;
    return found ? io::JsonCursor(found->value, found->source).at(member).as_double() : 0;
  }
  /// What the KL to the base counted at that step.
  double kl_weight(const std::string& name, std::int64_t step) const {
    return (figure(name, step, "loss") - figure(name, step, "cross_entropy")) /
           figure(name, step, "forward_kl");
  }
  /// One reaction, from step 8 back to 4, and a student that is within the limit.
  void expect_report(const std::string& name, double seen, double left) const {
    const auto value = io::read_json_file(folder_ / name / "report.json");
    const io::JsonCursor report = io::JsonCursor(value, "report.json").at("forgetting");
    EXPECT_TRUE(report.at("within_limit").as_bool());
    EXPECT_EQ(report.at("drops").at("plain").as_double(), left);
    ASSERT_EQ(report.at("reactions").size(), 1u);
    const io::JsonCursor reaction = report.at("reactions").at(std::size_t{0});
    EXPECT_EQ(reaction.at("step").as_int(), 8);
    EXPECT_EQ(reaction.at("back_to").as_int(), 4);
    EXPECT_EQ(reaction.at("set").as_string(), "plain");
    EXPECT_EQ(reaction.at("drop").as_double(), seen);
  }

  fs::path model_ = fs::path(DISTILL_SOURCE_DIR) / "models/SmolLM2-135M-Instruct";
  TempFolder folder_;
};

TEST_F(ForgettingOfSmolLm2, AForcedRegressionIsSeenGoneBackFromAndMadeGood) {
  const auto watched = train("watched");
  ASSERT_EQ(watched.exit_code, 0) << watched.err;
  const double lost = figure("watched", 12, "drop plain", "forgetting");
  EXPECT_GT(lost, 2 * kMaxDrop) << "without a reaction it is lost";
  const auto done = train(
      "reacted",
      {"forgetting.react={replay: [{path: " + (folder_ / "general.jsonl").string() +
       ", weight: 2}], kl_weight_factor: " + std::to_string(kKlFactor) + ", max_reactions: 2}"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  // The first look kept the student; the second saw what the run without a reaction comes to.
  EXPECT_LT(figure("reacted", 4, "drop plain", "forgetting"), kMaxDrop);
  const double seen = figure("reacted", 4, "drop", "reaction");
  EXPECT_GT(seen, kMaxDrop);
  EXPECT_NEAR(seen, figure("watched", 8, "drop plain", "forgetting"), 1e-6);
  EXPECT_EQ(figure("reacted", 4, "seen_at", "reaction"), 8.0);
  // The next step has other rows than before, and the base pulls harder.
  EXPECT_NE(figure("reacted", 5, "tokens"), figure("watched", 5, "tokens"));
  EXPECT_NEAR(kl_weight("reacted", 4), kKlWeight, 1e-3);
  EXPECT_NEAR(kl_weight("reacted", 5), kKlWeight * kKlFactor, 1e-3 * kKlFactor);
  const double left = figure("reacted", 12, "drop plain", "forgetting");
  EXPECT_LT(left, kMaxDrop);
  EXPECT_LT(left, lost);
  expect_report("reacted", seen, left);
}

}  // namespace
}  // namespace distill::testing
