#include <distill/metrics/tensorboard.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>

#include "support/event_file.h"
#include "support/temp_folder.h"

namespace distill::metrics {
namespace {

using testing::EventFileReader;
using testing::ReadEvent;
using testing::TempFolder;
using Scalars = std::vector<std::pair<std::string, float>>;

std::vector<ReadEvent> events_of(const std::filesystem::path& path) {
  const std::string bytes = core::read_file(path, 1 << 20);
  EventFileReader reader(bytes);
  auto events = reader.all();
  EXPECT_EQ(reader.rest(), "") << path;
  return events;
}

TEST(TensorboardSink, BeginsWithVersionAndStartAndNamesThings) {
  const TempFolder folder;
  const auto sink = make_tensorboard_sink(folder / "tensorboard", 4);
  sink->step({{"step", std::int64_t{5}}, {"tokens", std::int64_t{100}}, {"loss", 0.5}});
  sink->event("evaluation", {{"step", std::int64_t{5}}, {"perplexity", 8.25}});
  for (const char* event : {"evaluation_set", "teacher_set"}) {
    sink->event(event,
                {{"step", std::int64_t{5}}, {"set", std::string("maths")}, {"accuracy", 0.75}});
  }
  sink->event("skipped_step", {{"step", std::int64_t{6}}, {"grad_norm", 2.0}});
  sink->event("gate", {{"step", std::int64_t{6}}, {"reason", std::string("x")}, {"value", 1.5}});
  sink->event("note", {{"text", std::string("no number")}});
  const auto files = core::list_folder(folder / "tensorboard");
  ASSERT_EQ(files.size(), 1u);
  EXPECT_TRUE(files[0].filename().string().starts_with("events.out.tfevents."));

  const auto events = events_of(files[0]);  // all of it is there while the sink lives
  ASSERT_EQ(events.size(), 8u);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_TRUE(events[1].starts);
  EXPECT_EQ(events[1].step, 5);
  EXPECT_EQ(events[2].scalars, (Scalars{{"train/tokens", 100}, {"train/loss", 0.5}}));
  EXPECT_EQ(events[3].scalars, (Scalars{{"eval/perplexity", 8.25}}));
  EXPECT_EQ(events[4].scalars, (Scalars{{"eval/maths/accuracy", 0.75}}));
  EXPECT_EQ(events[5].scalars, (Scalars{{"teacher/maths/accuracy", 0.75}}));
  EXPECT_EQ(events[6].scalars, (Scalars{{"train/grad_norm", 2.0}}));
  EXPECT_EQ(events[7].scalars, (Scalars{{"gate/value", 1.5}}));
  EXPECT_EQ(events[4].step, 5);
  EXPECT_EQ(events[7].step, 6);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  EXPECT_NEAR(events[2].wall_time, std::chrono::duration<double>(now).count(), 60);
}

TEST(TensorboardSink, EachCallBeginsAFileBehindTheOthers) {
  const TempFolder folder;
  // As if the clock had been far ahead.
  std::filesystem::create_directory(folder / "t");
  std::ofstream(folder / "t" / std::string("events.out.tfevents.4102444800.elsewhere")) << "";
  std::ofstream(folder / "t" / std::string("notes.txt")) << "not an event file";
  for (int i = 0; i < 3; ++i) {
    make_tensorboard_sink(folder / "t", i)->step({{"step", std::int64_t{i + 1}}, {"loss", 1.0}});
  }
  const auto files = core::list_folder(folder / "t");  // by name, as TensorBoard reads them
  ASSERT_EQ(files.size(), 5u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(files[i + 1].filename(),
              core::concat("events.out.tfevents.", 4102444801 + i, ".distill"));
    const auto events = events_of(files[i + 1]);
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(events[1].step, static_cast<std::int64_t>(i) + 1);
  }
}

// A process may be killed at any byte; readers stop there.
TEST(TensorboardSink, ATornTailKeepsTheRecordsBeforeIt) {
  const TempFolder folder;
  make_tensorboard_sink(folder / "t", 0)->step({{"step", std::int64_t{1}}, {"loss", 1.0}});
  const std::string whole = core::read_file(core::list_folder(folder / "t")[0], 1 << 20);
  EventFileReader reader(whole);
  ASSERT_EQ(reader.all().size(), 3u);
  std::size_t before = 0;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string torn = whole.substr(0, length);
    const std::size_t count = EventFileReader(torn).all().size();
    EXPECT_GE(count, before);
    EXPECT_LT(count, 3u);
    before = count;
  }
  EXPECT_EQ(before, 2u);
}

TEST(TensorboardSink, TagsAreUtf8) {
  const TempFolder folder;
  make_tensorboard_sink(folder / "t", 0)
      ->event("evaluation_set", {{"set", std::string("caf\xc3\xa9")},
                                 {"step", std::int64_t{1}},
                                 {"a", 1.0},
                                 {"b\xff", 2.0}});
  const auto events = events_of(core::list_folder(folder / "t")[0]);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].scalars[0].first, "eval/caf\xc3\xa9/a");
  EXPECT_TRUE(core::is_utf8(events[2].scalars[1].first));
}

TEST(TensorboardSink, SaysWhichFolderItCannotMake) {
  const TempFolder folder;
  const auto path = folder / "missing" / "t";
  EXPECT_NE(
      testing::message_of<IoError>([&] { make_tensorboard_sink(path, 0); }).find(path.string()),
      std::string::npos);
}

}  // namespace
}  // namespace distill::metrics
