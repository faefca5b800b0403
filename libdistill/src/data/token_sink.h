#pragma once

#include <memory>

#include "data/document_encoder.h"
#include "data/token_file.h"

namespace distill::data {

/// Receives the documents of a file in order.
class TokenSink {
 public:
  virtual ~TokenSink() = default;
  virtual void add(const EncodedDocument& document) = 0;
  /// No more of them. What was added is given back as a whole.
  virtual std::shared_ptr<const TokenFile> finish(const ReadSummary& summary) = 0;
};

/// Holds them in memory.
std::unique_ptr<TokenSink> make_memory_sink();

/// The value of TokenFile::checksum.
std::string checksum_of(std::span<const Word> words, std::span<const DocumentEntry> documents);

}  // namespace distill::data
