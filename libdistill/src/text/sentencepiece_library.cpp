#include "text/sentencepiece_library.h"

#include <limits>
#include <utility>

#include <sentencepiece_processor.h>

#include <distill/core/error.h>

#include "text/detokenizer.h"
#include "text/unicode.h"

namespace distill::text::detail {

struct SentencePieceLibrary::Processor {
  sentencepiece::SentencePieceProcessor library;
};

SentencePieceLibrary::SentencePieceLibrary(std::string_view bytes, SentencePieceModel model,
                                           const std::string& source)
    : model_(std::move(model)), processor_(std::make_unique<Processor>()) {
  if (Unigram::supports(model_)) unigram_.emplace(model_);
  for (int byte = 0; byte < 256 && model_.byte_fallback; ++byte) {
    const std::int64_t id = model_.id_of(byte_token(byte));
    if (id < 0) fail<FormatError>(source, ": has no piece `", byte_token(byte), "`");
    byte_ids_.push_back(static_cast<std::int32_t>(id));
  }
  const auto status = processor_->library.LoadFromSerializedProto({bytes.data(), bytes.size()});
  if (!status.ok()) {
    fail<FormatError>(source, ": the sentencepiece library refuses it: ", status.ToString());
  }
}

SentencePieceLibrary::~SentencePieceLibrary() = default;

void SentencePieceLibrary::encode(std::string_view text, std::size_t origin, TokenIds& ids,
                                  std::vector<ByteRange>* ranges) const {
  if (text.size() > std::numeric_limits<std::int32_t>::max()) {
    fail<InputError>("a text of ", text.size(), " bytes, expected less than 2 GiB; split it");
  }
  const auto check = [](const sentencepiece::util::Status& status) {
    if (!status.ok()) fail<InputError>("text cannot be tokenized: ", status.ToString());
  };
  if (unigram_) return encode_unigram(text, origin, ids, ranges);
  if (!ranges) {
    std::vector<int> result;
    check(processor_->library.Encode({text.data(), text.size()}, &result));
    ids.insert(ids.end(), result.begin(), result.end());
    return;
  }
  const auto result = processor_->library.EncodeAsImmutableProto({text.data(), text.size()});
  for (const auto& piece : result.pieces()) {
    ids.push_back(piece.id());
    ranges->push_back({origin + piece.begin(), origin + piece.end()});
  }
}

void SentencePieceLibrary::encode_unigram(std::string_view text, std::size_t origin, TokenIds& ids,
                                          std::vector<ByteRange>* ranges) const {
  // The pieces spell the normalized text; a piece's place in the text holds for all its bytes.
  std::string normalized;
  std::vector<ByteRange> places;
  const auto result = processor_->library.EncodeAsImmutableProto({text.data(), text.size()});
  for (const auto& piece : result.pieces()) {
    const bool is_byte = model_.pieces[piece.id()].kind == PieceKind::kByte;
    if (is_byte) {
      normalized += static_cast<char>(byte_of_token(piece.piece()));
    } else {
      normalized += piece.piece();
    }
    places.resize(normalized.size(), {origin + piece.begin(), origin + piece.end()});
  }
  if (!core::is_utf8(normalized)) {
    fail<InputError>("the tokenizer's normalizer turns the text into something that is not UTF-8");
  }
  // The bytes of one character have their place on the last of them.
  for (std::size_t at = 0; at < normalized.size();) {
    const std::size_t size = code_point_at(normalized, at).size;
    for (std::size_t i = 0; i < size; ++i) places[at + i].end = places[at + size - 1].end;
    at += size;
  }
  for (const Symbol& symbol : unigram_->encode(normalized)) {
    const bool spelled = symbol.id == model_.unknown_id && !byte_ids_.empty();
    for (std::size_t at = symbol.begin; at < symbol.end; at += spelled ? 1 : symbol.end - at) {
      ids.push_back(spelled ? byte_ids_[static_cast<unsigned char>(normalized[at])] : symbol.id);
      if (ranges) ranges->push_back({places[at].begin, places[spelled ? at : symbol.end - 1].end});
    }
  }
}

}  // namespace distill::text::detail
