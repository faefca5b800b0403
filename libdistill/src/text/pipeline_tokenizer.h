#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <distill/text/tokenizer.h>

#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/detokenizer.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/sentencepiece_library.h"
#include "text/special_roles.h"

namespace distill::text::detail {

/// The steps of a tokenizer, as read from its file.
struct TokenizerParts {
  BpeParts model;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  DecoderPlan decoder;
  std::vector<AddedToken> added;
  SpecialFrame frame;
  /// For text that follows an added token; the same as `normalizer` where there is none.
  std::optional<Normalizer> later_normalizer;
  /// Tokens that are decoded to these texts, whatever the plan says.
  std::vector<std::pair<std::int32_t, std::string>> verbatim;
  /// In place of `normalizer`, `pre_tokenizer` and the merges of `model`.
  std::shared_ptr<const SentencePieceLibrary> library;
  std::string library_hash;    ///< of its model
  bool parses_special = true;  ///< see Tokenizer::parses_special
};

/// Added tokens, normalizing, splitting, BPE, post-processing: what the `tokenizers` package does
/// for GPT-2, SmolLM2, Qwen, Llama, Mistral and DeepSeek, and the sentencepiece package for a
/// tokenizer.model.
class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(TokenizerParts parts);

  TokenIds encode(std::string_view text, bool add_special, bool parse_special) const override;
  TokenizedText encode_with_ranges(std::string_view text, bool parse_special) const override;
  std::string decode(const TokenIds& ids, bool skip_special) const override;
  std::unique_ptr<TokenStream> stream(bool skip_special) const override;
  std::string token_bytes(std::int64_t id) const override;
  bool is_special(std::int64_t id) const override;
  std::int64_t id_of(std::string_view token) const override;
  std::int64_t vocab_size() const override {
    return static_cast<std::int64_t>(detokenizer_.size());
  }
  std::int64_t bos_id() const override { return roles_.bos; }
  std::int64_t eos_id() const override { return roles_.eos; }
  std::int64_t pad_id() const override { return roles_.pad; }
  std::string fingerprint() const override { return fingerprint_; }
  bool parses_special() const override { return parses_special_; }

  bool is_added(std::int64_t id) const;
  /// Before the tokenizer is shared.
  void set_roles(const SpecialRoles& roles) { roles_ = roles; }

 private:
  class Encoder;
  class Stream;

  /// Throws InputError for an id that is no token.
  std::size_t checked_index(std::int64_t id) const;
  void make_fingerprint(const std::string& library_hash);

  BpeModel model_;
  Normalizer normalizer_;
  std::optional<Normalizer> later_normalizer_;
  PreTokenizer pre_tokenizer_;
  Detokenizer detokenizer_;
  AddedTokens added_;
  SpecialFrame frame_;
  std::shared_ptr<const SentencePieceLibrary> library_;
  bool parses_special_;
  SpecialRoles roles_;
  std::vector<bool> is_token_;
  std::vector<bool> is_skipped_;  ///< by decoding without special tokens
  std::vector<const AddedToken*> added_by_id_;
  std::unordered_map<std::string_view, std::int32_t> added_ids_;
  std::string fingerprint_;
};

}  // namespace distill::text::detail
