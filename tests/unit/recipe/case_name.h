#pragma once

#include <cctype>
#include <string>

#include <gtest/gtest.h>

namespace distill::recipe::sample {

/// Names a case of a table by its `what`.
template <class Case>
std::string case_name(const ::testing::TestParamInfo<Case>& param) {
  std::string name;
  for (const char c : std::string(param.param.what)) name += std::isalnum(c) != 0 ? c : '_';
  return name;
}

}  // namespace distill::recipe::sample
