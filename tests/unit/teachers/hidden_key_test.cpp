#include "teachers/hidden_key.h"

#include <gtest/gtest.h>

namespace distill::teachers::detail {
namespace {

TEST(HiddenKey, IsHiddenWhereverItStands) {
  const HiddenKey key("sk-01/23");
  EXPECT_EQ(key.hide("sk-01/23"), "[key]");
  EXPECT_EQ(key.hide("a sk-01/23, b sk-01/23sk-01/23."), "a [key], b [key][key].");
  EXPECT_EQ(key.hide("sk-01/2 and k-01/23"), "sk-01/2 and k-01/23");
  EXPECT_EQ(key.hide(R"("sk-01\/23" \n sk-01/23)"), R"("[key]" \n [key])");
  EXPECT_EQ(key.hide(R"(\u0073\u006b-01\u002F23\u0073)"), R"([key]\u0073)");
  EXPECT_EQ(key.hide(R"(s\u006b-01\u002G23 \u00)"), R"(s\u006b-01\u002G23 \u00)");
  EXPECT_EQ(key.hide("\\"), "\\");
  EXPECT_EQ(key.hide(""), "");
}

TEST(HiddenKey, MayHoldBackslashesItself) {
  const HiddenKey key(R"(a\b\\c)");
  EXPECT_EQ(key.hide(R"(x a\b\\c y)"), "x [key] y");
  EXPECT_EQ(key.hide(R"(x a\\b\\\\c y)"), "x [key] y") << "as JSON writes it";
}

TEST(HiddenKey, WithoutAKeyNothingIsHidden) {
  const HiddenKey none("");
  EXPECT_EQ(none.hide(R"(all \/ of it)"), R"(all \/ of it)");
  EXPECT_FALSE(none.is_telling());
  EXPECT_FALSE(HiddenKey("EMPTY").is_telling());
  EXPECT_TRUE(HiddenKey("sk-0123456789").is_telling());
}

}  // namespace
}  // namespace distill::teachers::detail
