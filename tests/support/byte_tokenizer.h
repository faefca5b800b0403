#pragma once

#include <array>
#include <string>
#include <string_view>

#include <distill/core/error.h>
#include <distill/text/tokenizer.h>

namespace distill::testing {

/// A tokenizer whose rules fit into one sentence: a byte is its own id, and four special tokens
/// follow from 256 on.
class ByteTokenizer : public text::Tokenizer {
 public:
  struct Options {
    bool has_eos = true;
    bool adds_bos = false;  ///< what a post-processor would do
  };
  static constexpr std::int64_t kBos = 256;
  static constexpr std::int64_t kEos = 257;
  static constexpr std::int64_t kStartOfTurn = 258;
  static constexpr std::int64_t kEndOfTurn = 259;
  static constexpr std::int64_t kVocabSize = 260;

  ByteTokenizer() = default;
  explicit ByteTokenizer(const Options& options) : options_(options) {}

  text::TokenIds encode(std::string_view text, bool add_special,
                        bool parse_special = true) const override {
    text::TokenIds ids;
    if (add_special && options_.adds_bos) ids.push_back(kBos);
    while (!text.empty()) {
      const std::int64_t special = parse_special ? special_at_start(text) : -1;
      ids.push_back(special >= 0 ? special : static_cast<unsigned char>(text.front()));
      text.remove_prefix(special >= 0 ? token_bytes(special).size() : 1);
    }
    return ids;
  }

  std::string decode(const text::TokenIds& ids, bool skip_special = true) const override {
    std::string text;
    for (const std::int64_t id : ids) {
      if (!skip_special || !is_special(id)) text += token_bytes(id);
    }
    return text;
  }

  std::string token_bytes(std::int64_t id) const override {
    if (id < 0 || id >= kVocabSize) fail<InputError>("id ", id, " is outside the vocabulary");
    if (id < kBos) return std::string(1, static_cast<char>(id));
    return std::string(kSpecials[static_cast<std::size_t>(id - kBos)]);
  }

  bool is_special(std::int64_t id) const override { return id >= kBos && id < kVocabSize; }
  std::int64_t id_of(std::string_view token) const override {
    if (token.size() == 1) return static_cast<unsigned char>(token.front());
    const std::int64_t special = special_at_start(token);
    return special >= 0 && token_bytes(special) == token ? special : -1;
  }
  std::int64_t vocab_size() const override { return kVocabSize; }
  std::int64_t bos_id() const override { return options_.adds_bos ? kBos : -1; }
  std::int64_t eos_id() const override { return options_.has_eos ? kEos : -1; }
  std::int64_t pad_id() const override { return -1; }
  std::string fingerprint() const override {
    return core::concat("bytes", options_.has_eos ? "+eos" : "", options_.adds_bos ? "+bos" : "");
  }

 private:
  static constexpr std::array<std::string_view, 4> kSpecials = {"<bos>", "<eos>", "<|im_start|>",
                                                                "<|im_end|>"};

  static std::int64_t special_at_start(std::string_view text) {
    for (std::size_t i = 0; i < kSpecials.size(); ++i) {
      if (text.starts_with(kSpecials[i])) return kBos + static_cast<std::int64_t>(i);
    }
    return -1;
  }

  Options options_;
};

}  // namespace distill::testing
