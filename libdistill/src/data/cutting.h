#pragma once

#include <cstdint>
#include <vector>

#include <distill/data/options.h>

#include "data/repetition.h"
#include "data/token_file.h"

namespace distill::data {

struct Pieces {
  std::vector<Span> spans;
  std::int64_t targets = 0;           ///< predictions that they offer
  std::int64_t long_documents = 0;    ///< of more than `length` tokens
  std::int64_t tokens_cut_off = 0;    ///< of long documents, by truncating or dropping
  std::int64_t tokens_unlearned = 0;  ///< in pieces with nothing to learn, which are left out
};

struct CutOptions {
  std::int64_t length = 2;  ///< >= 2, at most kMaxSequenceLength
  LongDocuments long_documents = LongDocuments::kSplit;
};

/// Cuts every document into pieces of `length` tokens; the last is shorter. When one token would
/// remain, the piece before gives up its last one: alone it could not be predicted, and it is
/// mostly the end-of-document token. Of a long document the first `length` tokens alone are kept,
/// or nothing, when the options say so. Pieces with nothing to learn are left out.
/// The tokens themselves are read only where a long document has some that are no targets.
Pieces cut(const TokenFiles& files, const std::vector<DocumentId>& documents,
           const CutOptions& options);

}  // namespace distill::data
