#include <distill/core/energy.h>

#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "support/fake_counters.h"

namespace distill::core {
namespace {

namespace fs = std::filesystem;
using testing::FakeCounters;
using std::chrono_literals::operator""ms;

TEST(EnergyMeter, SumsThePackagesAndNothingTwice) {
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 5'000'000, 262'143'328'850);
  counters.add("intel-rapl:1", "package-1", 7'000'000, 262'143'328'850);
  counters.add("intel-rapl:0:0", "core", 1'000'000, 262'143'328'850);  // a part of package-0
  counters.add("intel-rapl:2", "psys", 9'000'000, 262'143'328'850);    // the whole board
  counters.add("intel-rapl-mmio:0", "package-0", 1, 262'143'328'850);  // package-0 once more
  EnergyMeter meter(counters.options());
  ASSERT_TRUE(meter.readable());
  EXPECT_EQ(meter.joules(), 0);
  for (const auto* zone : {"intel-rapl:0", "intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"}) {
    counters.set(zone, 15'000'000);
  }
  counters.set("intel-rapl:1", 7'500'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 10.5);
  EXPECT_DOUBLE_EQ(meter.joules(), 10.5);
}

TEST(EnergyMeter, GoesOnWhereACounterBeginsAgain) {
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 65'000'000, 65'532'610);
  EnergyMeter meter(counters.options());
  counters.set("intel-rapl:0", 1'000'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 1.53261);
  counters.set("intel-rapl:0", 3'000'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 3.53261);
}

// Far from its range a counter that goes down was set back: taken for one that came around it would
// count 162 kJ in a moment.
TEST(EnergyMeter, ACounterThatIsSetBackCountsWhatItSaysSince) {
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 100'000'000'000, 262'143'328'850);
  EnergyMeter meter(counters.options());
  counters.set("intel-rapl:0", 100'004'000'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 4);
  counters.set("intel-rapl:0", 5'000'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 9);
  counters.set("intel-rapl:0", 7'000'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 11);
}

TEST(EnergyMeter, ACounterThatIsSetToAnotherValueCountsNothingForThat) {
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 100'000'000'000, 262'143'328'850);
  EnergyMeter meter(counters.options());
  counters.set("intel-rapl:0", 60'000'000'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 0);
  counters.set("intel-rapl:0", 60'003'000'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 3);
}

// A value beyond the range, or a range of all that a number holds, is no way around.
TEST(EnergyMeter, NonsenseOfACounterIsNotCounted) {
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 3'000'000'000, 1'000'000'000);
  counters.add("intel-rapl:1", "package-1", 2'000'000, 18'446'744'073'709'551'615U);
  EnergyMeter meter(counters.options());
  counters.set("intel-rapl:0", 2'000'000);
  counters.set("intel-rapl:1", 1'999'999);
  EXPECT_DOUBLE_EQ(meter.joules(), 2 + 1.999999);
}

TEST(EnergyMeter, LooksOftenEnoughByItself) {
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 0, 10'000'000);
  EnergyMeter meter(counters.options(1ms));
  // Each is more than half the range: of two that are not looked at between, one would be lost.
  for (const std::uint64_t value : {7'000'000, 4'000'000, 1'000'000}) {
    counters.set("intel-rapl:0", value);
    std::this_thread::sleep_for(400ms);
  }
  EXPECT_DOUBLE_EQ(meter.joules(), 21);
}

TEST(EnergyMeter, NothingReadableIsNoError) {
  EXPECT_FALSE(EnergyMeter({"/nowhere/at/all", 1ms}).readable());
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 1, 1000);
  std::ofstream(counters / "intel-rapl:0/energy_uj", std::ios::trunc) << "no number";
  EnergyMeter meter(counters.options());
  EXPECT_FALSE(meter.readable());
  EXPECT_EQ(meter.joules(), 0);
}

TEST(EnergyMeter, ACounterThatGoesAwayStaysWhereItWas) {
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 0, 10'000'000);
  EnergyMeter meter(counters.options());
  counters.set("intel-rapl:0", 4'000'000);
  EXPECT_DOUBLE_EQ(meter.joules(), 4);
  fs::remove(counters / "intel-rapl:0/energy_uj");
  EXPECT_DOUBLE_EQ(meter.joules(), 4);
}

}  // namespace
}  // namespace distill::core
