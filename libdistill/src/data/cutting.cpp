#include "data/cutting.h"

#include <algorithm>

namespace distill::data {

namespace {

class Cutter {
 public:
  Cutter(const TokenFiles& files, const CutOptions& options) : files_(files), options_(options) {}

  void add(const DocumentId& id) {
    const TokenFile& file = *files_[static_cast<std::size_t>(id.file)];
    std::int64_t begin = static_cast<std::int64_t>(file.begin_of(id.number));
    std::int64_t left = file.length_of(id.number);
    const auto targets = static_cast<std::int64_t>(file.documents[id.number].targets);
    const bool all_targets = targets == left - 1;
    if (left <= options_.length) {
      add_piece({begin, static_cast<std::int32_t>(left), id.file}, targets);
      return;
    }
    ++pieces_.long_documents;
    if (options_.long_documents == LongDocuments::kDrop) {
      pieces_.tokens_cut_off += left;
      return;
    }
    while (left > 0) {
      std::int64_t taken = std::min(left, options_.length);
      const bool truncate = options_.long_documents == LongDocuments::kTruncate;
      if (left - taken == 1 && !truncate) --taken;
      const Span piece{begin, static_cast<std::int32_t>(taken), id.file};
      add_piece(piece, all_targets ? taken - 1 : count_targets(words_of(files_, piece)));
      begin += taken;
      left -= taken;
      if (truncate) break;
    }
    pieces_.tokens_cut_off += left;
  }

  Pieces take() { return std::move(pieces_); }

 private:
  void add_piece(const Span& piece, std::int64_t targets) {
    if (targets == 0) {
      pieces_.tokens_unlearned += piece.length;
      return;
    }
    pieces_.targets += targets;
    pieces_.spans.push_back(piece);
  }

  const TokenFiles& files_;
  const CutOptions& options_;
  Pieces pieces_;
};

}  // namespace

Pieces cut(const TokenFiles& files, const std::vector<DocumentId>& documents,
           const CutOptions& options) {
  Cutter cutter(files, options);
  for (const DocumentId& id : documents) cutter.add(id);
  return cutter.take();
}

}  // namespace distill::data
