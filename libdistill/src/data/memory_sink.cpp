#include <distill/core/hash.h>

#include "data/token_sink.h"

namespace distill::data {

namespace {

class MemorySink final : public TokenSink {
 public:
  void add(const EncodedDocument& document) override {
    store_->words.insert(store_->words.end(), document.words.begin(), document.words.end());
    store_->documents.push_back(
        {store_->words.size(), static_cast<std::uint32_t>(document.targets), document.label});
  }

  std::shared_ptr<const TokenFile> finish(const ReadSummary& summary) override {
    auto file = std::make_shared<TokenFile>();
    file->words = store_->words;
    file->documents = store_->documents;
    file->summary = summary;
    file->checksum = checksum_of(file->words, file->documents);
    file->owner = std::move(store_);
    return file;
  }

 private:
  struct Store {
    std::vector<Word> words;
    std::vector<DocumentEntry> documents;
  };
  std::shared_ptr<Store> store_ = std::make_shared<Store>();
};

}  // namespace

std::unique_ptr<TokenSink> make_memory_sink() {
  return std::make_unique<MemorySink>();
}

std::string checksum_of(std::span<const Word> words, std::span<const DocumentEntry> documents) {
  core::Hasher words_hash;
  words_hash.add(std::as_bytes(words));
  core::Hasher documents_hash;
  documents_hash.add(std::as_bytes(documents));
  return core::hash_text(words_hash.hex() + documents_hash.hex());
}

}  // namespace distill::data
