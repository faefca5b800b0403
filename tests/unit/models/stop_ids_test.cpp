#include <distill/models/stop_ids.h>

#include <distill/core/error.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;
using Ids = std::vector<std::int64_t>;

/// A folder with what the two files say of `eos_token_id`; an empty text: nothing.
class StopIdsTest : public ::testing::Test {
 protected:
  Ids read(const std::string& config, const std::string& generation) {
    write("config.json", config);
    write("generation_config.json", generation);
    return read_stop_ids(folder_.path(), 40);
  }
  std::string refusal(const std::string& config, const std::string& generation) {
    return message_of<FormatError>([&] { read(config, generation); });
  }
  void write(const char* name, const std::string& eos) {
    const std::string text = eos.empty() ? "{}" : "{\"eos_token_id\": " + eos + "}";
    testing::write_text(folder_ / name, text);
  }
  testing::TempFolder folder_;
};

TEST_F(StopIdsTest, TakesANumberOrAList) {
  EXPECT_EQ(read("", "7"), Ids{7});
  EXPECT_EQ(read("", "[39, 0, 39]"), (Ids{39, 0}));
  EXPECT_EQ(read("", "[]"), Ids{});
  EXPECT_EQ(read("", "null"), Ids{});
  EXPECT_EQ(read("", ""), Ids{});
}

TEST_F(StopIdsTest, AListInTheConfigCountsTooANumberOnlyWhereItIsTheOnlyOne) {
  EXPECT_EQ(read("[3, 7]", "7"), (Ids{7, 3}));
  EXPECT_EQ(read("3", "7"), Ids{7});
  EXPECT_EQ(read("3", ""), Ids{3});
}

TEST_F(StopIdsTest, TheGenerationConfigNeedNotBeThere) {
  write("config.json", "[3, 4]");
  EXPECT_EQ(read_stop_ids(folder_.path(), 40), (Ids{3, 4}));
}

TEST_F(StopIdsTest, RefusesWhatIsNoIdOfTheModelNamingFileAndKey) {
  const std::string file = (folder_ / "generation_config.json").string();
  EXPECT_EQ(refusal("", "\"</s>\""),
            file + ": `eos_token_id` must be an id or a list of ids, it is a string");
  EXPECT_EQ(refusal("", "2.0"),
            file + ": `eos_token_id` must be an id or a list of ids, it is a number");
  EXPECT_EQ(refusal("", "40"), file +
                                   ": `eos_token_id` is 40, which is outside the model's "
                                   "vocabulary, expected 0 to 39");
  EXPECT_NE(refusal("", "[1, -1]").find("eos_token_id[1]"), std::string::npos);
  EXPECT_NE(refusal("", "[1, [2]]").find("it is an array"), std::string::npos);
  EXPECT_NE(refusal("", "true").find("it is a boolean"), std::string::npos);
  EXPECT_NE(refusal("[1, 99]", "3").find("config.json: `eos_token_id[1]` is 99"),
            std::string::npos);
  testing::write_text(folder_ / "generation_config.json", "[2]");
  EXPECT_THROW(read_stop_ids(folder_.path(), 40), FormatError);
  testing::write_text(folder_ / "generation_config.json", "{\"eos_token_id\": 2");
  EXPECT_THROW(read_stop_ids(folder_.path(), 40), FormatError);
}

}  // namespace
}  // namespace distill::models
