#include <distill/core/table.h>

#include <limits>

#include <gtest/gtest.h>

namespace distill::core {
namespace {

TEST(Table, AlignsColumns) {
  Table table;
  table.add({"", "teacher", "student"});
  table.add({"perplexity", "7.5", "12.25"});
  table.add({"long name here"});
  EXPECT_EQ(table.text(),
            "                 teacher   student\n"
            "perplexity           7.5     12.25\n"
            "long name here\n");
}

TEST(Table, AlignsToTheLeftWithoutSpacesAtTheEnd) {
  Table table(Table::Align::kLeft);
  table.add({"a", "b", "c"});
  table.add({"longer", "longer too", "d"});
  EXPECT_EQ(table.text("  "),
            "  a        b            c\n"
            "  longer   longer too   d\n");
}

TEST(Table, IsEmptyWithoutRows) {
  EXPECT_EQ(Table().text(), "");
}

TEST(Fixed, RoundsAndNamesWhatIsNoNumber) {
  EXPECT_EQ(fixed(1.006, 2), "1.01");
  EXPECT_EQ(fixed(-3, 0), "-3");
  EXPECT_EQ(fixed(std::numeric_limits<double>::max(), 1).size(), 311U);
  EXPECT_EQ(fixed(std::numeric_limits<double>::infinity(), 1), "not finite");
  EXPECT_EQ(fixed(std::numeric_limits<double>::quiet_NaN(), 1), "not finite");
}

}  // namespace
}  // namespace distill::core
