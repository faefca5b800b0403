#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <distill/text/tokenizer.h>

#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/special_roles.h"

namespace distill::text::detail {

/// The steps of a byte-level tokenizer, as read from tokenizer.json.
struct ByteLevelParts {
  BpeParts model;
  PreTokenizer pre_tokenizer;
  std::vector<AddedToken> added;
  SpecialFrame frame;
  bool nfc = false;
};

/// Added tokens, normal form C, splitting, byte-level BPE, post-processing: what the `tokenizers`
/// package does for GPT-2, SmolLM2, Qwen, Llama 3 and DeepSeek.
class ByteLevelTokenizer final : public Tokenizer {
 public:
  explicit ByteLevelTokenizer(ByteLevelParts parts);

  TokenIds encode(std::string_view text, bool add_special, bool parse_special) const override;
  TokenizedText encode_with_ranges(std::string_view text, bool parse_special) const override;
  std::string decode(const TokenIds& ids, bool skip_special) const override;
  std::string token_bytes(std::int64_t id) const override;
  bool is_special(std::int64_t id) const override;
  std::int64_t id_of(std::string_view token) const override;
  std::int64_t vocab_size() const override { return static_cast<std::int64_t>(bytes_.size()); }
  std::int64_t bos_id() const override { return roles_.bos; }
  std::int64_t eos_id() const override { return roles_.eos; }
  std::int64_t pad_id() const override { return roles_.pad; }
  std::string fingerprint() const override { return fingerprint_; }

  bool is_added(std::int64_t id) const;
  /// Before the tokenizer is shared.
  void set_roles(const SpecialRoles& roles) { roles_ = roles; }

 private:
  class Encoder;

  std::size_t checked_index(std::int64_t id) const;
  std::string make_fingerprint() const;

  BpeModel model_;
  PreTokenizer pre_tokenizer_;
  AddedTokens added_;
  SpecialFrame frame_;
  bool nfc_;
  SpecialRoles roles_;
  std::vector<std::string> bytes_;  ///< by id; empty where there is no token
  std::vector<const AddedToken*> added_by_id_;
  std::unordered_map<std::string_view, std::int32_t> added_ids_;
  std::string fingerprint_;
};

}  // namespace distill::text::detail
