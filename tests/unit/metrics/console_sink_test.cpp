#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <distill/metrics/sink.h>

#include "metrics/console_format.h"

namespace distill::metrics {
namespace {

Values step_values(std::int64_t step, double loss, std::int64_t tokens, double seconds) {
  return {{"step", step},
          {"tokens", tokens},
          {"loss", loss},
          {"forward_kl", loss / 2},
          {"lr", 9.1e-4},
          {"grad_norm", 1.234},
          {"tokens_per_second", 412.0},
          {"seconds", seconds}};
}

std::string run_console(ConsoleOptions options, std::int64_t from, std::int64_t to) {
  std::string text;
  options.output = [&text](std::string_view part) { text += part; };
  const auto sink = make_console_sink(options);
  for (std::int64_t step = from; step <= to; ++step) {
    sink->step(step_values(step, 2.0312, step * 412, static_cast<double>(step)));
  }
  return text;
}

TEST(ConsoleSink, PlainLinesEveryFewStepsAndForTheLast) {
  ConsoleOptions options;
  options.total_steps = 45;
  EXPECT_EQ(run_console(options, 1, 45),
            "step 20/45  loss 2.031  lr 9.1e-04  grad 1.2  412 tok/s  ETA 25 s\n"
            "step 40/45  loss 2.031  lr 9.1e-04  grad 1.2  412 tok/s  ETA 5.0 s\n"
            "step 45/45  loss 2.031  lr 9.1e-04  grad 1.2  412 tok/s\n");
}

TEST(ConsoleSink, ProgressBarIsRedrawnInPlaceAndEndsItsLine) {
  ConsoleOptions options;
  options.terminal = true;
  options.total_steps = 2;
  EXPECT_EQ(
      run_console(options, 1, 2),
      "\r\x1b[Kdistilling  50 % [########.........]  step 1/2  loss 2.03  412 tok/s  ETA 1.0 s"
      "\r\x1b[Kdistilling 100 % [########################]  step 2/2  loss 2.03  412 tok/s\n");
}

TEST(ConsoleSink, AnUnfinishedBarEndsItsLineToo) {
  ConsoleOptions options;
  options.terminal = true;
  options.total_steps = 10;
  const std::string text = run_console(options, 1, 1);
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(ConsoleSink, EventsPrintAboveTheBar) {
  ConsoleOptions options;
  options.terminal = true;
  options.total_steps = 10;
  std::string text;
  options.output = [&text](std::string_view part) { text += part; };
  const auto sink = make_console_sink(options);
  sink->event("resume", {{"step", std::int64_t{0}}});
  EXPECT_EQ(text, "resume  step 0\n");
  sink->step(step_values(1, 1.0, 10, 1.0));
  const std::string bar = text.substr(text.rfind('\r'));
  text.clear();
  sink->event("skipped_step", {{"step", std::int64_t{2}}, {"loss", -std::nan("")}});
  EXPECT_EQ(text, "\r\x1b[Kskipped step  step 2  loss nan\n" + bar);
}

TEST(ConsoleSink, EventTextsCannotCommandTheTerminal) {
  EXPECT_EQ(detail::event_line("saved", {{"path", std::string("a_b\x1b[2J\n")}}),
            "saved  path a_b\\x1b[2J\\x0a");
}

TEST(ConsoleSink, RatesAreSmoothedAndFollowAChange) {
  ConsoleOptions options;
  options.total_steps = 1000;
  options.plain_every = 1;
  std::string last;
  options.output = [&last](std::string_view part) { last = part; };
  const auto sink = make_console_sink(options);
  sink->step(step_values(1, 1.0, 100, 1.0));
  EXPECT_NE(last.find("  100 tok/s"), std::string::npos) << last;
  sink->step(step_values(2, 1.0, 200, 3.0));  // a step at half the speed
  // (0.9 * 100 + 100) tokens in (0.9 * 1 + 2) seconds
  EXPECT_NE(last.find("  66 tok/s"), std::string::npos) << last;
  double seconds = 3.0;
  for (std::int64_t step = 3; step <= 80; ++step) {
    seconds += 2.0;
    sink->step(step_values(step, 1.0, step * 100, seconds));
  }
  EXPECT_NE(last.find("  50 tok/s"), std::string::npos) << last;
  EXPECT_NE(last.find("ETA 30 min 40 s"), std::string::npos) << last;
}

TEST(ConsoleSink, AResumedRunCountsOnlyItsOwnSteps) {
  ConsoleOptions options;
  options.total_steps = 110;
  options.first_step = 100;
  options.plain_every = 1;
  std::string last;
  options.output = [&last](std::string_view part) { last = part; };
  const auto sink = make_console_sink(options);
  sink->step(step_values(101, 1.0, 100100, 5000.0));
  EXPECT_EQ(last, "step 101/110  loss 1  lr 9.1e-04  grad 1.2  412 tok/s\n");
  sink->step(step_values(102, 1.0, 100200, 5002.0));
  EXPECT_EQ(last, "step 102/110  loss 1  lr 9.1e-04  grad 1.2  50 tok/s  ETA 16 s\n");
}

TEST(ConsoleSink, ARunThatIsOneOfSeveralSaysSo) {
  ConsoleOptions options;
  options.total_steps = 4;
  options.plain_every = 1;
  options.label = "stage 2/3 small";
  options.line_head = "stage 2/3 small  ";
  options.whole_eta = [](double eta, double pace) { return eta + 60 * pace; };
  std::string last;
  options.output = [&last](std::string_view part) { last = part; };
  const auto plain = make_console_sink(options);
  plain->step(step_values(1, 1.0, 100, 10.0));
  EXPECT_TRUE(last.starts_with("stage 2/3 small  step 1/4  loss 1")) << last;
  EXPECT_TRUE(last.ends_with("ETA 30 s (all: 10 min 30 s)\n")) << last;
  plain->step(step_values(4, 1.0, 400, 40.0));
  EXPECT_EQ(last.find("ETA"), std::string::npos) << last;  // it is done
  options.terminal = true;
  options.width = 120;
  const auto bar = make_console_sink(options);
  bar->step(step_values(1, 1.0, 100, 10.0));
  EXPECT_NE(last.find("stage 2/3 small  25 % ["), std::string::npos) << last;
}

TEST(ProgressLine, FitsEveryWidth) {
  detail::ConsoleStep step;
  step.step = 84;
  step.total_steps = 200;
  step.loss = 1.4321;
  step.tokens_per_second = 412.4;
  step.eta_seconds = 123;
  EXPECT_EQ(detail::progress_line(step, 79),
            "distilling  42 % [####......]  step 84/200  loss 1.43  412 tok/s  ETA 2 min 3 s");
  // How long it will still take is missed most.
  EXPECT_EQ(detail::progress_line(step, 66),
            "distilling  42 %  step 84/200  loss 1.43  412 tok/s  ETA 2 min 3 s");
  EXPECT_EQ(detail::progress_line(step, 60),
            "distilling  42 %  step 84/200  loss 1.43  ETA 2 min 3 s");
  EXPECT_EQ(detail::progress_line(step, 50), "distilling  42 % [##...]  loss 1.43  ETA 2 min 3 s");
  EXPECT_EQ(detail::progress_line(step, 40), "distilling  42 % [##....]  ETA 2 min 3 s");
  EXPECT_EQ(detail::progress_line(step, 20), "distilling  42 %");
  for (std::int64_t width = 0; width < 200; ++width) {
    const std::string line = detail::progress_line(step, width);
    EXPECT_LE(static_cast<std::int64_t>(line.size()), width);
    if (width >= 16) {
      EXPECT_EQ(line.substr(0, 16), "distilling  42 %");
    }
  }
}

TEST(ProgressLine, OfAStageTellsWhenItAndAllWillEnd) {
  detail::ConsoleStep step;
  step.label = "stage 1/2 three";
  step.step = 18;
  step.total_steps = 3000;
  step.loss = 0.3864;
  step.tokens_per_second = 15210;
  step.eta_seconds = 754;
  step.whole_eta_seconds = 3840;
  EXPECT_EQ(detail::progress_line(step, 79),  // of a terminal of 80 columns
            "stage 1/2 three   0 % [.........]  loss 0.386  ETA 12 min 34 s (all: 1 h 4 min)");
  EXPECT_EQ(detail::progress_line(step, 56), "stage 1/2 three   0 %  loss 0.386  ETA 12 min 34 s");
  EXPECT_EQ(detail::progress_line(step, 40), "stage 1/2 three   0 %  ETA 12 min 34 s");
}

TEST(ProgressLine, SurvivesNumbersThatAreNone) {
  detail::ConsoleStep step;
  step.step = 3;
  step.loss = std::numeric_limits<double>::infinity();
  step.tokens_per_second = std::numeric_limits<double>::quiet_NaN();
  step.eta_seconds = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(detail::progress_line(step, 200),
            "distilling   0 % [........................]  step 3  loss inf  ? tok/s  ETA ?");
}

}  // namespace
}  // namespace distill::metrics
