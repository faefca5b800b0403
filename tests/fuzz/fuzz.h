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
/// The bytes as one of the files of a logit cache that is good otherwise: the first byte says
/// which, and whether its checksum is made to fit.
void logit_cache(std::string_view bytes);
/// The bytes as one of the two files of an adapter that is good otherwise, the first byte says
/// which. One that loads is used.
void adapter(std::string_view bytes);
/// The bytes behind the checksums: the rows of a segment, of either form.
void signal_rows(std::string_view bytes);

}  // namespace distill::fuzz
