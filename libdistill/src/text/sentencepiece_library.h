#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <distill/text/tokenizer.h>

#include "text/unigram.h"

namespace distill::text::detail {

/// The sentencepiece library with one model. Of a unigram model it takes the normalized text only
/// and finds the path itself.
class SentencePieceLibrary {
 public:
  /// `bytes`: a tokenizer.model that read_sentencepiece_model has accepted. Throws FormatError when
  /// the library does not take it, beginning with `source`.
  SentencePieceLibrary(std::string_view bytes, SentencePieceModel model, const std::string& source);
  ~SentencePieceLibrary();

  /// Appends the ids of a UTF-8 text, and with `ranges` their bytes in it, moved by `origin`.
  void encode(std::string_view text, std::size_t origin, TokenIds& ids,
              std::vector<ByteRange>* ranges) const;

 private:
  struct Processor;
  void encode_unigram(std::string_view text, std::size_t origin, TokenIds& ids,
                      std::vector<ByteRange>* ranges) const;

  SentencePieceModel model_;
  std::optional<Unigram> unigram_;
  std::vector<std::int32_t> byte_ids_;  ///< where the model falls back to bytes
  std::unique_ptr<Processor> processor_;
};

}  // namespace distill::text::detail
