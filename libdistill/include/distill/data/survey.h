#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <distill/data/document_row.h>
#include <distill/data/row_reading.h>

namespace distill::data {

/// What a data file holds.
struct Survey {
  std::int64_t rows = 0;  ///< bad ones included
  std::int64_t bad = 0;
  std::array<std::int64_t, choice_names(RowForm{}).size()> rows_by_form{};
  std::uint64_t text_bytes = 0;  ///< of all texts
  std::int64_t tokens = 0;       ///< these two: with something to tokenize with
  std::int64_t targets = 0;
};

/// Reads all of a data file as training does. Each bad row is given to `on_bad`; it returns false
/// to end there. With `reading` rows are tokenized too, which finds what a template refuses.
/// Throws what is no fault of a row: a file that is missing or damaged.
Survey survey_file(const std::filesystem::path& path, const RowReading* reading,
                   const std::function<bool(const std::string& why)>& on_bad);

}  // namespace distill::data
