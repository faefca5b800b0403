#include <distill/core/strict_sums.h>

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

namespace distill::core {
namespace {

std::string variable() {
  const char* value = std::getenv("MKL_CBWR");
  return value == nullptr ? "" : value;
}

TEST(StrictSums, AsksWhereTheCpuHasThemAndKeepsWhatIsSet) {
  ::unsetenv("MKL_CBWR");
  const bool asked = request_strict_sums();
  EXPECT_EQ(asked, variable().ends_with(",STRICT")) << variable();
  ::setenv("MKL_CBWR", "COMPATIBLE", 1);
  EXPECT_EQ(request_strict_sums(), asked);
  EXPECT_EQ(variable(), "COMPATIBLE");
  ::unsetenv("MKL_CBWR");
}

}  // namespace
}  // namespace distill::core
