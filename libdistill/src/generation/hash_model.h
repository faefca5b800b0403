#pragma once

#include <filesystem>
#include <string>

#include <distill/text/tokenizer.h>

namespace distill::generation {

/// Of all that decides what a model says: config, weights and tokenizer.
std::string hash_model(const std::filesystem::path& folder, const text::Tokenizer& tokenizer);

}  // namespace distill::generation
