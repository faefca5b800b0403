#include <distill/core/progress.h>

#include <thread>

#include <gtest/gtest.h>

namespace distill::core {
namespace {

TEST(Progress, ALineFitsTheTerminal) {
  ProgressOptions options{.label = "tokenizing", .terminal = true, .width = 80};
  const std::string line = progress_line(options, 0.425, 30, "12 documents");
  EXPECT_EQ(line, "tokenizing  42 % [##########..............]  12 documents  ETA 41 s");
  for (std::int64_t width = 0; width < 100; ++width) {
    options.width = width;
    const std::string narrow = progress_line(options, 0.425, 30, "12 documents");
    EXPECT_LE(std::ssize(narrow), std::max<std::int64_t>(width - 1, 0));
  }
}

TEST(Progress, DetailsGoBeforeTheTimeThatIsLeft) {
  ProgressOptions options{.label = "stage 1/2 rows", .terminal = true, .width = 62};
  options.whole_eta = [](double eta, double in_all) { return eta + 2 * in_all; };
  // 40 s of 100 s are left here, and then twice 100 s.
  EXPECT_EQ(progress_line(options, 0.6, 60, "1,234 answers, 56 tokens a second"),
            "stage 1/2 rows  60 % [######.....]  ETA 40 s (all: 4 min 0 s)");
  options.width = 100;
  EXPECT_EQ(
      progress_line(options, 0.6, 60, "12 answers"),
      "stage 1/2 rows  60 % [##############..........]  12 answers  ETA 40 s (all: 4 min 0 s)");
}

TEST(Progress, SharesOutOfRangeAreBounded) {
  const ProgressOptions options{.label = "x"};
  EXPECT_EQ(progress_line(options, 7, 1, ""), "x 100 %");
  EXPECT_EQ(progress_line(options, -1, 1, ""), "x   0 %");
  EXPECT_EQ(progress_line(options, 0.0 / 0.0, 1, ""), "x   0 %");
}

TEST(Progress, WhatWasDoneBeforeTakesNoPartInTheTimeThatIsLeft) {
  const ProgressOptions options{.label = "x"};
  // A quarter in ten seconds, and a quarter is left.
  EXPECT_EQ(progress_line(options, 0.75, 10, "", 0.5), "x  75 %  ETA 10 s");
  // Nothing is known yet.
  EXPECT_EQ(progress_line(options, 0.5, 10, "", 0.5), "x  50 %");
  std::string shown;
  ProgressBar bar({.label = "x",
                   .seconds_between_lines = 0.01,
                   .output = [&](std::string_view text) { shown += text; }});
  bar.go_on_from(98, 100);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  bar.update(99, 100, "");
  EXPECT_EQ(shown.find("ETA 0 s"), std::string::npos) << shown;
}

TEST(Progress, ShortWorkShowsNothing) {
  std::string shown;
  {
    ProgressBar bar(
        {.label = "x", .terminal = true, .output = [&](std::string_view text) { shown += text; }});
    for (int i = 0; i < 1000; ++i) bar.update(i, 1000, "");
  }
  EXPECT_EQ(shown, "");
}

TEST(Progress, TheBarIsTakenAwayAtTheEnd) {
  std::string shown;
  {
    ProgressBar bar(
        {.label = "x", .terminal = true, .output = [&](std::string_view text) { shown += text; }});
    std::this_thread::sleep_for(std::chrono::milliseconds(550));
    bar.update(1, 4, "y");
  }
  EXPECT_TRUE(shown.starts_with("\r\x1b[Kx  25 % [")) << shown;
  EXPECT_TRUE(shown.ends_with("\r\x1b[K")) << shown;
}

TEST(Progress, WithoutATerminalThereAreWholeLines) {
  std::string shown;
  ProgressBar bar({.label = "x",
                   .seconds_between_lines = 0.01,
                   .output = [&](std::string_view text) { shown += text; }});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  bar.update(1, 2, "half");
  EXPECT_TRUE(shown.starts_with("x  50 %  half")) << shown;
  EXPECT_TRUE(shown.ends_with("\n"));
}

}  // namespace
}  // namespace distill::core
