#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/metrics/sink.h>

#include "support/temp_folder.h"

namespace distill::metrics {
namespace {

using testing::TempFolder;

constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();

std::string content(const std::filesystem::path& path) {
  return core::read_file(path, 1 << 20);
}

TEST(JsonlSink, WritesOneObjectALine) {
  const TempFolder folder;
  {
    const auto sink = make_jsonl_sink(folder / "m", kAll);
    sink->step({{"step", std::int64_t{1}}, {"loss", 0.1}, {"note", std::string("a \"b\"\n")}});
    sink->event("skipped_step", {{"step", std::int64_t{2}}, {"loss", std::nan("")}});
  }
  EXPECT_EQ(content(folder / "m"),
            "{\"step\":1,\"loss\":0.1,\"note\":\"a \\\"b\\\"\\n\"}\n"
            "{\"event\":\"skipped_step\",\"step\":2,\"loss\":null}\n");
}

TEST(JsonlSink, AppendsToWhatIsThere) {
  const TempFolder folder;
  make_jsonl_sink(folder / "m", kAll)->step({{"step", std::int64_t{1}}});
  make_jsonl_sink(folder / "m", kAll)->step({{"step", std::int64_t{2}}});
  EXPECT_EQ(content(folder / "m"), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(JsonlSink, LinesAreThereBeforeTheSinkEnds) {
  const TempFolder folder;
  const auto sink = make_jsonl_sink(folder / "m", kAll);
  sink->step({{"step", std::int64_t{1}}});
  EXPECT_EQ(content(folder / "m"), "{\"step\":1}\n");
}

TEST(JsonlSink, DropsLaterStepsAndTheirEvents) {
  const TempFolder folder;
  const std::string kept =
      "{\"event\":\"start\"}\n{\"step\":1}\n{\"step\":2}\n{\"event\":\"evaluation\",\"step\":2}\n";
  core::write_file_atomically(folder / "m",
                              kept + "{\"step\":3}\n{\"event\":\"stopped\"}\n{\"step\":4}\n");
  make_jsonl_sink(folder / "m", 2);
  EXPECT_EQ(content(folder / "m"), kept);
  make_jsonl_sink(folder / "m", 0);
  EXPECT_EQ(content(folder / "m"), "{\"event\":\"start\"}\n");
}

TEST(JsonlSink, ToleratesATornLastLineAtEveryLength) {
  const std::string whole = "{\"step\":1,\"loss\":2}\n";
  const std::string last = "{\"step\":2,\"loss\":1}\n";
  for (std::size_t length = 0; length < last.size(); ++length) {
    const TempFolder folder;
    core::write_file_atomically(folder / "m", whole + last.substr(0, length));
    make_jsonl_sink(folder / "m", 5)->step({{"step", std::int64_t{2}}});
    EXPECT_EQ(content(folder / "m"), whole + "{\"step\":2}\n") << length;
  }
}

TEST(JsonlSink, AStepInsideATextIsNotTheStep) {
  const TempFolder folder;
  {
    const auto sink = make_jsonl_sink(folder / "m", kAll);
    sink->event("note", {{"text", std::string(",\"step\":9}")}, {"step", std::int64_t{1}}});
  }
  const std::string before = content(folder / "m");
  make_jsonl_sink(folder / "m", 1);
  EXPECT_EQ(content(folder / "m"), before);
  make_jsonl_sink(folder / "m", 0);
  EXPECT_EQ(content(folder / "m"), "");
}

TEST(JsonlSink, SaysWhichFileItCannotWrite) {
  const TempFolder folder;
  const auto path = folder / "missing" / "m";
  EXPECT_NE(testing::message_of<IoError>([&] { make_jsonl_sink(path, kAll); }).find(path.string()),
            std::string::npos);
}

}  // namespace
}  // namespace distill::metrics
