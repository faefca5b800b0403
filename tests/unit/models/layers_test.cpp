#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/load.h>

#include "support/temp_folder.h"

namespace distill::models {
namespace {

TEST(EvenlySpacedLayers, KnownAnswers) {
  EXPECT_EQ(evenly_spaced_layers(30, 12),
            (std::vector<std::int64_t>{0, 3, 5, 8, 11, 13, 16, 18, 21, 24, 26, 29}));
  EXPECT_EQ(evenly_spaced_layers(5, 3), (std::vector<std::int64_t>{0, 2, 4}));
  EXPECT_EQ(evenly_spaced_layers(4, 3), (std::vector<std::int64_t>{0, 2, 3}));  // 1.5 rounds to 2
  EXPECT_EQ(evenly_spaced_layers(6, 3), (std::vector<std::int64_t>{0, 2, 5}));  // 2.5 rounds to 2
  EXPECT_EQ(evenly_spaced_layers(7, 1), (std::vector<std::int64_t>{0}));
}

TEST(EvenlySpacedLayers, RisesAndKeepsBothEnds) {
  for (std::int64_t layers = 2; layers <= 40; ++layers) {
    for (std::int64_t count = 2; count <= layers; ++count) {
      const auto kept = evenly_spaced_layers(layers, count);
      ASSERT_EQ(kept.size(), static_cast<std::size_t>(count));
      EXPECT_EQ(kept.front(), 0);
      EXPECT_EQ(kept.back(), layers - 1);
      for (std::size_t i = 1; i < kept.size(); ++i) {
        EXPECT_GT(kept[i], kept[i - 1]);
        const double exact = static_cast<double>(i) * static_cast<double>(layers - 1) /
                             static_cast<double>(count - 1);
        EXPECT_EQ(static_cast<double>(kept[i]), std::nearbyint(exact)) << layers << " " << count;
      }
    }
  }
}

TEST(EvenlySpacedLayers, RefusesImpossibleCounts) {
  EXPECT_EQ(testing::message_of<ConfigError>([] { evenly_spaced_layers(5, 6); }),
            "cannot keep 6 of 5 layers, expected 1 to 5");
  testing::message_of<ConfigError>([] { evenly_spaced_layers(5, 0); });
}

}  // namespace
}  // namespace distill::models
