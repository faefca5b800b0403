#include <distill/core/byte_size.h>

#include <gtest/gtest.h>

namespace distill::core {
namespace {

TEST(ParseByteSize, ReadsDecimalAndBinaryUnits) {
  EXPECT_EQ(parse_byte_size("5GB"), 5'000'000'000u);
  EXPECT_EQ(parse_byte_size("500 MB"), 500'000'000u);
  EXPECT_EQ(parse_byte_size("64KiB"), 65'536u);
  EXPECT_EQ(parse_byte_size("2gib"), std::uint64_t{2} << 30);
  EXPECT_EQ(parse_byte_size("1TB"), 1'000'000'000'000u);
  EXPECT_EQ(parse_byte_size("1000"), 1000u);
  EXPECT_EQ(parse_byte_size("7B"), 7u);
}

TEST(ParseByteSize, RefusesAnythingElse) {
  for (const char* text : {"", "GB", "-1GB", "1.5GB", "5 GBs", "5  GB", "0x10", " 5GB", "5GB ",
                           "99999999999999999999", "18446744073709551615KB"}) {
    EXPECT_FALSE(parse_byte_size(text)) << text;
  }
}

}  // namespace
}  // namespace distill::core
