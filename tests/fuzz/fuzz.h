#pragma once

#include <string_view>

namespace distill::fuzz {

/// Each takes any bytes: it may refuse them with an InputError, everything else is a fault.
void tokenizer_json(std::string_view bytes);
void tokenizer_model(std::string_view bytes);
/// The bytes as a text: ids come back as the text, a stream gives what decoding gives.
void bpe_encoder(std::string_view bytes);
/// The bytes as merges, their ranks and a text: ids are those of the definition.
void bpe_merges(std::string_view bytes);
void chat_template(std::string_view bytes);
void jsonl(std::string_view bytes);
void safetensors(std::string_view bytes);

}  // namespace distill::fuzz
