#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <distill/data/row_reading.h>

namespace distill::data {

/// One token of a row as training sees it.
struct SampleToken {
  std::int64_t id = 0;
  bool learned = false;  ///< the student is to predict it
};

/// Tokens of the `number`th row of a data file, counted from 1. Throws InputError naming the file
/// when it has fewer rows, FormatError `FILE:LINE: ...` when that row is a bad one.
std::vector<SampleToken> read_sample(const std::filesystem::path& path, const RowReading& reading,
                                     std::int64_t number);

}  // namespace distill::data
