#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "tiny_run.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

/// The tiny recipe with a student of its own and another teacher.
class SeveralRun {
 public:
  explicit SeveralRun(const std::string& teacher, const std::string& label = "",
                      const std::string& loss = "forward_kl, weight: 0.7, temperature: 2.0") {
    std::ifstream in(run_.recipe());
    std::string text(std::istreambuf_iterator<char>(in), {});
    in.close();
    replace(text, "  init: {from: teacher, keep_layers: 2}",
            "  model: " + tiny_model().string() + "\n  init: {from: model, keep_layers: 2}");
    replace(text, "teacher: {kind: local, model: " + tiny_model().string() + "}",
            "teacher: " + teacher);
    replace(text, "forward_kl, weight: 0.7, temperature: 2.0", loss);
    if (!label.empty()) replace(text, "train.jsonl}", "train.jsonl, label: " + label + "}");
    std::ofstream(run_.recipe()) << text;
  }

  ProgramResult train(const std::vector<std::string>& more = {}) const { return run_.train(more); }

  io::JsonValue report() const { return io::read_json_file(run_.output() / "report.json"); }
  double after(const char* name) const {
    const io::JsonValue root = report();
    return io::JsonCursor(root, "report").at("after").at(name).as_double();
  }

 private:
  static void replace(std::string& text, const std::string& old_part, const std::string& part) {
    const auto at = text.find(old_part);
    ASSERT_NE(at, std::string::npos) << old_part;
    text.replace(at, old_part.size(), part);
  }

  TinyRun run_;
};

std::string model() {
  return tiny_model().string();
}

std::string local() {
  return "{kind: local, model: " + model() + "}";
}

// Two teachers that are one model teach what it teaches alone.
TEST(SeveralTeachers, OneModelTwiceIsOneTeacher) {
  const SeveralRun alone(local());
  ASSERT_EQ(alone.train().exit_code, 0);
  const SeveralRun weighted("{kind: several, teachers: [{model: " + model() +
                            ", name: a, weight: 2}, {model: " + model() + ", name: b}]}");
  const auto result = weighted.train();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* figure : {"perplexity", "kl_to_teacher"}) {
    EXPECT_NEAR(weighted.after(figure), alone.after(figure), 1e-3 * alone.after(figure)) << figure;
  }
}

TEST(SeveralTeachers, LabelsOfFilesChooseTheTeacher) {
  const std::string teacher = "{kind: several, by: label, teachers: [{model: " + model() +
                              ", name: a, labels: [maths]}, {model: " + model() + ", name: b";
  const SeveralRun alone(local());
  ASSERT_EQ(alone.train().exit_code, 0);
  const SeveralRun labelled(teacher + "}]}", "maths");
  const auto result = labelled.train();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NEAR(labelled.after("perplexity"), alone.after("perplexity"),
              1e-3 * alone.after("perplexity"));
  const auto refused = SeveralRun(teacher + ", labels: [code]}]}", "maths").train();
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("holds `code`, which no file of `data` has"), std::string::npos)
      << refused.err;
  EXPECT_NE(refused.err.find("leave out files of `data` without a `label`"), std::string::npos);
}

TEST(SeveralTeachers, LabelsOfRowsChooseTheTeacher) {
  const auto teachers = [](const std::string& first, const std::string& second) {
    return "{kind: several, by: label, teachers: [{model: " + model() + ", name: a, labels: [" +
           first + "]}, {model: " + model() + ", name: b" + second + "}]}";
  };
  const TempFolder folder;
  const fs::path data = folder / "mixed.jsonl";
  {
    std::ifstream in(tiny_model() / "train.jsonl");
    std::ofstream out(data);
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      const char* label = ++number == 5 ? "law" : number % 2 == 0 ? "maths" : "code";
      out << "{\"subject\": \"" << label << "\", " << line.substr(1) << "\n";
    }
    ASSERT_GT(number, 5);
  }
  const std::vector<std::string> files = {"data.train=[{path: " + data.string() +
                                          ", label_field: subject}]"};
  const SeveralRun alone(local());
  ASSERT_EQ(alone.train().exit_code, 0);
  const SeveralRun labelled(teachers("maths", ""));
  const auto result = labelled.train(files);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NEAR(labelled.after("perplexity"), alone.after("perplexity"),
              1e-3 * alone.after("perplexity"))
      << "both are the same model";
  const auto refused = SeveralRun(teachers("maths", ", labels: [code, '']")).train(files);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find(data.string() + ":5: has the label `law`, which no teacher takes"),
            std::string::npos)
      << refused.err;
  const auto unknown = SeveralRun(teachers("maths, poetry", "")).train(files);
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("the label `poetry` is that of no file and no row"), std::string::npos)
      << unknown.err;
}

TEST(SeveralTeachers, TheMarginDecidesHowMuchTheLargestReads) {
  const auto shares_of = [](const std::string& margin) {
    const SeveralRun run("{kind: several, by: difficulty, margin: " + margin +
                         ", teachers: [{model: " + model() + ", name: cheap}, {model: " + model() +
                         ", name: large}]}");
    const auto result = run.train();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.err;
  };
  EXPECT_NE(shares_of("-1000").find("teacher `large` answered for 0 tokens"), std::string::npos);
  EXPECT_NE(shares_of("1000").find("teacher `cheap` answered for 0 tokens"), std::string::npos);
}

TEST(SeveralTeachers, SettingsWithoutEffectAreRefused) {
  const auto refused = SeveralRun("{kind: several, margin: 0.5, teachers: [{model: " + model() +
                                  ", labels: [maths]}]}")
                           .train();
  EXPECT_EQ(refused.exit_code, 2);
  for (const char* part :
       {"must list at least two", "count with `by: label` only", "counts with `by: difficulty`"}) {
    EXPECT_NE(refused.err.find(part), std::string::npos) << part << "\n" << refused.err;
  }
}

TEST(SeveralTeachers, LossesOverLayersAreRefused) {
  const auto refused = SeveralRun("{kind: several, teachers: [{model: " + model() +
                                      ", name: a}, {model: " + model() + ", name: b}]}",
                                  "", "hidden_mse")
                           .train();
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("several teachers"), std::string::npos) << refused.err;
}

}  // namespace
}  // namespace distill::testing
