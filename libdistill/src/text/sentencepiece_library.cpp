#include "text/sentencepiece_library.h"

#include <limits>
#include <string>
#include <utility>

#include <sentencepiece_processor.h>

#include <distill/core/error.h>

#include "text/detokenizer.h"
#include "text/unicode.h"

namespace distill::text::detail {

struct SentencePieceLibrary::Processor {
  sentencepiece::SentencePieceProcessor library;
};

namespace {

/// Protocol buffers: a field that holds `bytes`, of less than 128.
std::string short_field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number * 8 + 2), static_cast<char>(bytes.size())} + bytes;
}

/// What makes a model fall back to bytes when it is written after it: 256 more pieces, and the
/// member byte_fallback of the trainer's settings.
std::string byte_pieces() {
  std::string fields;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string kind{3 * 8, static_cast<char>(PieceKind::kByte)};
    fields += short_field(1, short_field(1, byte_token(byte)) + kind);
  }
  constexpr int kByteFallback = 35;
  const std::string setting{static_cast<char>(0x80 | ((kByteFallback * 8) & 0x7F)),
                            static_cast<char>(kByteFallback * 8 / 128), 1};
  return fields + short_field(2, setting);
}

bool has_byte_text(const SentencePieceModel& model) {
  for (int byte = 0; byte < 256; ++byte) {
    if (model.id_of(byte_token(byte)) >= 0) return true;
  }
  return false;
}

}  // namespace

SentencePieceLibrary::SentencePieceLibrary(std::string_view bytes, SentencePieceModel model,
                                           const std::string& source)
    : model_(std::move(model)), processor_(std::make_unique<Processor>()) {
  if (Unigram::supports(model_)) unigram_.emplace(model_);
  for (int byte = 0; byte < 256 && model_.byte_fallback; ++byte) {
    const std::int64_t id = model_.id_of(byte_token(byte));
    if (id < 0) fail<FormatError>(source, ": has no piece `", byte_token(byte), "`");
    byte_ids_.push_back(static_cast<std::int32_t>(id));
  }
  std::string extended(bytes);
  // The library needs quadratic time for a run of unknown characters, but not where it falls back
  // to bytes.
  if (!model_.byte_fallback && !has_byte_text(model_)) extended += byte_pieces();
  const auto status = processor_->library.LoadFromSerializedProto(extended);
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
  bool after_unknown = false;
  const auto add = [&](std::size_t id) {
    const bool unknown = id >= model_.pieces.size();
    const bool fused = unknown && after_unknown;
    after_unknown = unknown;
    if (!fused) ids.push_back(unknown ? model_.unknown_id : static_cast<std::int64_t>(id));
    return fused;
  };
  if (!ranges) {
    std::vector<int> result;
    check(processor_->library.Encode({text.data(), text.size()}, &result));
    for (const int id : result) add(static_cast<std::size_t>(id));
    return;
  }
  const auto result = processor_->library.EncodeAsImmutableProto({text.data(), text.size()});
  for (const auto& piece : result.pieces()) {
    if (add(piece.id())) {
      ranges->back().end = origin + piece.end();
    } else {
      ranges->push_back({origin + piece.begin(), origin + piece.end()});
    }
  }
}

void SentencePieceLibrary::encode_unigram(std::string_view text, std::size_t origin, TokenIds& ids,
                                          std::vector<ByteRange>* ranges) const {
  // The pieces spell the normalized text; a piece's place in the text holds for all its bytes.
  std::string normalized;
  std::vector<ByteRange> places;
  const auto result = processor_->library.EncodeAsImmutableProto({text.data(), text.size()});
  for (const auto& piece : result.pieces()) {
    const bool is_byte =
        piece.id() >= model_.pieces.size() || model_.pieces[piece.id()].kind == PieceKind::kByte;
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
