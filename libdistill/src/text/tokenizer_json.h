#pragma once

#include <filesystem>
#include <memory>

#include "text/pipeline_tokenizer.h"

namespace distill::text::detail {

/// Reads a tokenizer.json. Throws UnsupportedError for what is not implemented, FormatError for
/// what is malformed.
std::unique_ptr<PipelineTokenizer> read_tokenizer_json(const std::filesystem::path& path);

}  // namespace distill::text::detail
