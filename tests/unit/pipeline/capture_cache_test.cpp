#include <distill/pipeline/capture.h>

#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/interrupted.h>
#include <distill/core/paths.h>

#include "support/byte_chat.h"
#include "support/byte_tokenizer.h"
#include "support/fake_ranks.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::FakeRanks;
using testing::TempFolder;

class ToyTeacher : public teachers::Teacher {
 public:
  types::TeacherSignal signal(const types::Batch& batch) override {
    if (++calls == stop_after && stop != nullptr) stop->request(15);
    if (calls == fail_after) fail<TeacherError>("the toy broke");
    const auto output = model_.forward(batch.input);
    return types::DenseHidden{output.hidden.detach(), output.head.detach(), output.transform};
  }
  std::string describe() const override { return "toy"; }

  int calls = 0;
  int stop_after = 0;
  int fail_after = 0;
  core::StopFlag* stop = nullptr;

 private:
  testing::ToyModel model_{testing::ToyModel::Options{.seed = 4, .scale = 3}};
};

std::shared_ptr<const data::Dataset> some_data(int documents, int seed) {
  const TempFolder folder;
  core::RandomState random(static_cast<std::uint64_t>(seed));
  std::vector<std::string> lines;
  for (int i = 0; i < documents; ++i) {
    std::string text;
    for (std::uint64_t c = 0; c < 3 + random.below(30); ++c) {
      text += static_cast<char>('a' + random.below(26));
    }
    lines.push_back(R"({"text": ")" + text + "\"}");
    if (i % 5 == 0) lines.push_back(lines.back());  // equal documents are kept once
  }
  data::DataOptions options;
  options.sequence_length = 64;
  testing::RecordingLogger log;
  return data::Dataset::load({{testing::write_lines(folder / "d.jsonl", lines), 1.0}}, options,
                             testing::ByteTokenizer(), nullptr, log);
}

struct Fixture {
  CaptureJob job(const std::string& name, io::SignalForm form = io::SignalForm::kSampled) const {
    CaptureJob job;
    job.folder = folder / name;
    job.spec = {form, 12, 260, 1.0, {{"teacher", "toy"}}};
    job.data = {train, eval};
    job.seed = 5;
    job.tokens_at_once = 40;
    return job;
  }
  io::LogitCacheInfo alone(const CaptureJob& job, ToyTeacher& teacher) {
    io::LogitCacheInfo info;
    FakeRanks(1).run(
        [&](dist::Communicator& ranks) { info = capture_cache(job, teacher, ranks, log); });
    return info;
  }
  TempFolder folder;
  std::shared_ptr<const data::Dataset> train = some_data(30, 1);
  std::shared_ptr<const data::Dataset> eval = some_data(8, 2);
  testing::RecordingLogger log;
};

TEST(CaptureCache, AnyNumberOfRanksGivesTheSameSignals) {
  for (const auto form : {io::SignalForm::kSampled, io::SignalForm::kTopK}) {
    Fixture fixture;
    ToyTeacher teacher;
    const auto expected = fixture.alone(fixture.job("one", form), teacher);
    EXPECT_EQ(expected.segments, 38) << "equal documents are kept once";
    for (const std::int64_t size : {2, 3, 20}) {
      const CaptureJob job = fixture.job(core::concat("of", size), form);
      FakeRanks(size).run([&](dist::Communicator& ranks) {
        ToyTeacher own;
        testing::RecordingLogger log;
        const auto info = capture_cache(job, own, ranks, log);
        EXPECT_EQ(info.hash, expected.hash);
        EXPECT_EQ(info.positions, expected.positions);
      });
      const io::LogitCache cache(job.folder);
      cache.read_all([](const io::LogitCache::Segment&) {});
    }
  }
}

TEST(CaptureCache, GoesOnAfterAStopWithOtherRanks) {
  Fixture fixture;
  ToyTeacher teacher;
  const std::string expected = fixture.alone(fixture.job("whole"), teacher).hash;
  const int all_calls = teacher.calls;
  CaptureJob job = fixture.job("stopped");
  core::StopFlag stop;
  job.stop = &stop;
  std::vector<std::string> messages(3);
  FakeRanks(3).run([&](dist::Communicator& ranks) {
    ToyTeacher own;
    own.stop = &stop;
    own.stop_after = ranks.rank() == 1 ? 2 : 0;
    testing::RecordingLogger log;
    messages[static_cast<std::size_t>(ranks.rank())] =
        testing::message_of<Interrupted>([&] { capture_cache(job, own, ranks, log); });
  });
  for (const auto& message : messages) {
    EXPECT_NE(message.find("what was captured is kept"), std::string::npos) << message;
  }
  EXPECT_THROW(io::LogitCache{job.folder}, InputError);
  job.stop = nullptr;
  ToyTeacher again;
  const auto info = fixture.alone(job, again);
  EXPECT_EQ(info.hash, expected);
  EXPECT_EQ(again.calls, all_calls - 6) << "two rounds of three ranks were done";
  // A complete cache is left alone.
  ToyTeacher idle;
  EXPECT_EQ(fixture.alone(job, idle).hash, expected);
  EXPECT_EQ(idle.calls, 0);
}

TEST(CaptureCache, WhatFailsOnOneRankEndsAll) {
  Fixture fixture;
  const CaptureJob job = fixture.job("broken");
  std::vector<std::string> messages(2);
  FakeRanks(2).run([&](dist::Communicator& ranks) {
    ToyTeacher own;
    own.fail_after = ranks.rank() == 1 ? 2 : 0;
    testing::RecordingLogger log;
    messages[static_cast<std::size_t>(ranks.rank())] =
        testing::message_of<Error>([&] { capture_cache(job, own, ranks, log); });
  });
  EXPECT_EQ(messages, (std::vector<std::string>{"another rank failed; its message says why",
                                                "the toy broke"}));
  EXPECT_THROW(io::LogitCache{job.folder}, InputError);
}

}  // namespace
}  // namespace distill::pipeline
