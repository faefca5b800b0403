#include "train/trainer_state.h"

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>

#include "support/temp_folder.h"

namespace distill::train {
namespace {

using testing::message_of;
using testing::TempFolder;

const TrainerState kState{.step = 7,
                          .tokens = 1234567890123,
                          .seconds = 0.1,
                          .skipped = 2,
                          .skipped_in_a_row = 1,
                          .data_position = 56,
                          .optimizer_steps = 5,
                          .after_step_pending = true};

std::string text_of(const TrainerState& state) {
  const TempFolder folder;
  write_state(folder / "state.json", state);
  return core::read_file(folder / "state.json", 1 << 16);
}

TEST(TrainerState, ComesBackAsItWas) {
  const TempFolder folder;
  write_state(folder / "state.json", kState);
  EXPECT_EQ(read_state(folder / "state.json"), kState);
  write_state(folder / "state.json", TrainerState{});
  EXPECT_EQ(read_state(folder / "state.json"), TrainerState{});
}

TEST(TrainerState, AnotherFormatVersionIsRefusedByItsNumber) {
  const TempFolder folder;
  for (const std::string version : {"0", "1", "99"}) {
    std::string text = text_of(kState);
    const std::string now = "\"format_version\": 2";
    text.replace(text.find(now), now.size(), "\"format_version\": " + version);
    core::write_file_atomically(folder / "state.json", text);
    EXPECT_EQ(message_of<UnsupportedError>([&] { read_state(folder / "state.json"); }),
              (folder / "state.json").string() + ": checkpoint format version " + version +
                  ", this build reads version 2; go on with the libdistill that wrote it, or start "
                  "over");
  }
}

TEST(TrainerState, DamagedTextsAreRefused) {
  const TempFolder folder;
  const std::string text = text_of(kState);
  for (std::size_t length = 0; length + 2 < text.size(); length += 9) {
    core::write_file_atomically(folder / "state.json", text.substr(0, length));
    message_of<FormatError>([&] { read_state(folder / "state.json"); });
  }
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    changed.replace(changed.find(from), from.size(), to);
    core::write_file_atomically(folder / "state.json", changed);
    return message_of<FormatError>([&] { read_state(folder / "state.json"); });
  };
  EXPECT_NE(with("\"step\": 7", "\"step\": -7").find("`step`"), std::string::npos);
  EXPECT_NE(with("\"step\": 7", "\"step\": 7.5").find("`step`"), std::string::npos);
  EXPECT_NE(with("\"seconds\": 0.1", "\"seconds\": -1").find("`seconds`"), std::string::npos);
  EXPECT_NE(with("true", "1").find("`after_step_pending`"), std::string::npos);
  EXPECT_NE(with("\"tokens\"", "\"tokans\"").find("`tokens`"), std::string::npos);
}

}  // namespace
}  // namespace distill::train
