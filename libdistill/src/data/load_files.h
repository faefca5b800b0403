#pragma once

#include <vector>

#include <distill/core/log.h>
#include <distill/data/options.h>
#include <distill/data/report.h>
#include <distill/data/row_reading.h>

#include "data/token_file.h"

namespace distill::data {

/// The tokens of all files of a list, and what is known of each.
struct LoadedFiles {
  TokenFiles tokens;
  DataReport report;  ///< as far as it is known before documents are cut
};

/// Names become files, files become tokens. Throws as Dataset::load.
LoadedFiles load_files(const std::vector<DataFile>& files, const DataOptions& options,
                       const RowReading& reading, core::Logger& log);

}  // namespace distill::data
