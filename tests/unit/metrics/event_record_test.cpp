#include "metrics/event_record.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "metrics/event_message.h"
#include "support/event_file.h"

namespace distill::metrics::detail {
namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// RFC 3720, appendix B.4, and the usual check value.
TEST(EventRecord, ChecksumHasTheValuesOfTheStandard) {
  std::string ascending(32, '\0');
  std::iota(ascending.begin(), ascending.end(), '\0');
  const std::string descending(ascending.rbegin(), ascending.rend());
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(ascending), 0x46dd794eu);
  EXPECT_EQ(crc32c(descending), 0x113fdb5cu);
}

// Written by RecordWriter and event_pb2 of tensorboard 2.21.0.
TEST(EventRecord, HasTheBytesThatTensorboardWrites) {
  EXPECT_EQ(event_record(version_event(1.5)),
            from_hex("1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28"
                     "646c"));
  EXPECT_EQ(event_record(start_event(1.5, 8)),
            from_hex("0f000000000000006d532b0909000000000000f83f10083a0208019571c7d1"));
  const Scalar scalars[] = {{"train/loss", 0.25},
                            {"train/lr", std::numeric_limits<double>::infinity()}};
  EXPECT_EQ(event_record(scalars_event(2.5, 300, scalars)),
            from_hex("3200000000000000241956ec09000000000000044010ac022a240a110a0a747261696e2f6c6f"
                     "7373150000803e0a0f0a08747261696e2f6c72150000807fd659a1dc"));
}

TEST(EventRecord, NumbersBeyondFloatAreInfiniteAndNanStays) {
  const Scalar scalars[] = {{"a", 1e300}, {"b", -1e300}, {"c", std::nan("")}, {"d", 0.0}};
  const std::string record = event_record(scalars_event(1, -5, scalars));
  const auto events = testing::EventFileReader(record).all();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].step, -5);
  ASSERT_EQ(events[0].scalars.size(), 4u);
  EXPECT_EQ(events[0].scalars[0].second, std::numeric_limits<float>::infinity());
  EXPECT_EQ(events[0].scalars[1].second, -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(events[0].scalars[2].second));
  EXPECT_EQ(events[0].scalars[3], (std::pair<std::string, float>("d", 0.0f)));
}

}  // namespace
}  // namespace distill::metrics::detail
