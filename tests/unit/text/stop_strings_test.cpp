#include <distill/text/stop_strings.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/temp_folder.h"

namespace distill::text {
namespace {

/// All that is shown of a text that comes `step` bytes at a time.
std::string shown(std::string_view text, const std::vector<std::string>& stops, std::size_t step) {
  StopStrings stop(stops);
  std::string result;
  for (std::size_t i = 0; i < text.size() && !stop.found(); i += step) {
    result += stop.push(text.substr(i, step));
  }
  return result + stop.finish();
}

TEST(StopStrings, EndBeforeTheFirstOfThemHoweverTheTextComes) {
  for (std::size_t step = 1; step < 20; ++step) {
    EXPECT_EQ(shown("one two three", {"three", "two"}, step), "one ");
    EXPECT_EQ(shown("one two three", {"tone", "thr"}, step), "one two ");
    EXPECT_EQ(shown("aaab", {"aab"}, step), "a");
    EXPECT_EQ(shown("nothing of it", {"xyz"}, step), "nothing of it");
    EXPECT_EQ(shown("end with User", {"User:"}, step), "end with User");
    EXPECT_EQ(shown("text", {}, step), "text");
  }
}

TEST(StopStrings, ShowWhatCannotBelongToOne) {
  StopStrings stop({"User:"});
  EXPECT_EQ(stop.push("hello U"), "hello ");
  EXPECT_EQ(stop.push("s"), "");
  EXPECT_EQ(stop.push("a "), "Usa ");
  EXPECT_FALSE(stop.found());
  EXPECT_EQ(stop.push("User: more"), "");
  EXPECT_TRUE(stop.found());
  EXPECT_EQ(stop.push("and more"), "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, RefuseAnEmptyOne) {
  EXPECT_EQ(testing::message_of<InputError>([] {
              StopStrings({"a", ""});
            }),
            "a stop string is empty; leave it out");
}

}  // namespace
}  // namespace distill::text
