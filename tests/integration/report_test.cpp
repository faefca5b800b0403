// What people look at: report.html and TensorBoard's event files.
#include <string>

#include <distill/core/files.h>
#include <distill/core/paths.h>

#include "integration/distill_command.h"
#include "support/event_file.h"
#include "support/html_check.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  return core::read_file(path, 1 << 24);
}

TEST(Report, ARunHasAPageAndEventFilesThatParse) {
  const TinyRun run;
  const auto result = run.train({"evaluate.every=5"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("report.html"), std::string::npos) << result.out;
  const std::string page = content(run.output() / "report.html");
  const HtmlCheck check(page);
  EXPECT_EQ(check.count("svg"), 7);  // loss, lr, norm, speed, perplexity, KL, agreement
  EXPECT_LT(page.size(), 200'000u);

  const auto files = core::list_folder(run.output() / "tensorboard");
  ASSERT_EQ(files.size(), 1u);
  const std::string bytes = content(files.front());
  EventFileReader reader(bytes);
  std::int64_t losses = 0;
  for (const auto& event : reader.all()) {
    for (const auto& [tag, value] : event.scalars) losses += tag == "train/loss" ? 1 : 0;
  }
  EXPECT_EQ(losses, 10);
  EXPECT_EQ(reader.rest(), "");

  fs::remove(run.output() / "report.html");
  const auto again = distill({"report", run.output().string()});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out, (run.output() / "report.html").string() + "\n");
  EXPECT_EQ(content(run.output() / "report.html"), page);
  const std::string elsewhere = (run.folder() / "page.html").string();
  EXPECT_EQ(distill({"report", run.output().string(), "--out", elsewhere}).exit_code, 0);
  EXPECT_EQ(content(elsewhere), page);
}

TEST(Report, OfSomethingElseIsOneLine) {
  const auto result = distill({"report", tiny()});
  EXPECT_EQ(result.exit_code, 2);
  const auto lines = error_lines(result);
  ASSERT_EQ(lines.size(), 1u) << result.err;
  EXPECT_NE(lines[0].find("neither report.json nor metrics.jsonl"), std::string::npos) << lines[0];
}

}  // namespace
}  // namespace distill::testing
