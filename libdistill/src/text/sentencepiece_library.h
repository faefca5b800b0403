#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include <distill/text/tokenizer.h>

namespace distill::text::detail {

/// The sentencepiece library with one model.
class SentencePieceLibrary {
 public:
  /// `bytes`: a tokenizer.model that read_sentencepiece_model has accepted. Throws FormatError when
  /// the library does not take it, beginning with `source`.
  SentencePieceLibrary(std::string_view bytes, const std::string& source);
  ~SentencePieceLibrary();

  /// Appends the ids of a UTF-8 text, and with `ranges` their bytes in it, moved by `origin`.
  void encode(std::string_view text, std::size_t origin, TokenIds& ids,
              std::vector<ByteRange>* ranges) const;

 private:
  struct Processor;
  std::unique_ptr<Processor> processor_;
};

}  // namespace distill::text::detail
