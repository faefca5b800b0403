#pragma once

#include <filesystem>
#include <memory>

#include "text/pipeline_tokenizer.h"

namespace distill::text::detail {

/// Opens the tokenizer.model of a folder, with its tokenizer_config.json where there is one:
/// `add_bos_token` (true without it), `add_eos_token` (false), `legacy` (true: a space is put
/// before a text after a special token too), `added_tokens_decoder`. Ids are those of the
/// sentencepiece library. BPE models that change nothing in a text but its spaces, as those of
/// Llama and Mistral, are run by our own BPE, the others by the library.
std::shared_ptr<PipelineTokenizer> read_sentencepiece(const std::filesystem::path& folder);

}  // namespace distill::text::detail
