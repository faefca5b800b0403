#include "text/sentencepiece_library.h"

#include <limits>

#include <sentencepiece_processor.h>

#include <distill/core/error.h>

namespace distill::text::detail {

struct SentencePieceLibrary::Processor {
  sentencepiece::SentencePieceProcessor library;
};

SentencePieceLibrary::SentencePieceLibrary(std::string_view bytes, const std::string& source)
    : processor_(std::make_unique<Processor>()) {
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

}  // namespace distill::text::detail
