#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace distill::models {

/// The ids with which a model's folder says an answer ends: `eos_token_id`, a number or a list, of
/// generation_config.json, which need not be there, and of config.json where that one is a list or
/// the only one. Each id once, generation_config.json's first; the tokenizer's own is not among
/// them unless a file names it. Throws FormatError naming file and key for a value of another kind
/// or an id outside [0, vocab_size).
std::vector<std::int64_t> read_stop_ids(const std::filesystem::path& folder,
                                        std::int64_t vocab_size);

}  // namespace distill::models
