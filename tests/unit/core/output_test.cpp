#include <distill/core/output.h>

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/temp_folder.h"

namespace distill::core {
namespace {

TEST(FinishOutput, WhatIsLostIsAnError) {
  std::ostringstream good;
  good << "x";
  EXPECT_NO_THROW(finish_output(good, "out"));
  std::ofstream full("/dev/full");
  full << "x";  // stays in the buffer
  EXPECT_EQ(testing::message_of<IoError>([&] { finish_output(full, "out"); }),
            "out: could not write all of the result to it");
}

}  // namespace
}  // namespace distill::core
