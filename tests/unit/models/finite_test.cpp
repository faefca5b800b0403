#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "models/finite.h"

namespace distill::models {
namespace {

class AllFinite : public ::testing::TestWithParam<c10::ScalarType> {};

TEST_P(AllFinite, FindsOneBadElementAnywhere) {
  // Lengths around the words and blocks that are looked at together.
  for (const std::int64_t length : {1, 2, 3, 7, 31, 32, 33, 65, 1000}) {
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
          -std::numeric_limits<double>::infinity()}) {
      for (std::int64_t place = 0; place < length; place += (length < 70 ? 1 : 97)) {
        at::Tensor x = at::randn({length}).to(GetParam());
        ASSERT_TRUE(all_finite(x));
        x[place] = bad;
        EXPECT_FALSE(all_finite(x)) << length << " " << place << " " << bad;
      }
    }
  }
}

TEST_P(AllFinite, LargestAndSmallestNumbersAreFinite) {
  const double largest = GetParam() == at::kHalf ? 65504.0
                         : GetParam() == at::kBFloat16
                             ? 3.3895313892515355e38
                             : static_cast<double>(std::numeric_limits<float>::max());
  for (const double value : {largest, -largest, 0.0, -0.0, 1e-300}) {
    EXPECT_TRUE(all_finite(at::full({37}, value, at::TensorOptions(at::kDouble)).to(GetParam())))
        << value;
  }
}

TEST_P(AllFinite, EveryThreadLooks) {
  at::Tensor x = at::full({6'000'000}, 1.0, at::TensorOptions(GetParam()));
  EXPECT_TRUE(all_finite(x));
  x[5'999'999] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(all_finite(x));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AllFinite,
                         ::testing::Values(at::kFloat, at::kBFloat16, at::kHalf, at::kDouble),
                         [](const auto& tested) {
                           return std::string(c10::toString(tested.param));
                         });

}  // namespace
}  // namespace distill::models
