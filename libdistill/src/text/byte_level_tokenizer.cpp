#include "text/byte_level_tokenizer.h"

#include <optional>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/hash.h>

#include "text/byte_alphabet.h"
#include "text/normalizer.h"
#include "text/utf8.h"

namespace distill::text::detail {

/// One text on its way through the steps.
class ByteLevelTokenizer::Encoder {
 public:
  Encoder(const ByteLevelTokenizer& tokenizer, bool parse_special, TokenIds& ids,
          std::vector<ByteRange>* ranges)
      : tokenizer_(tokenizer), parse_special_(parse_special), ids_(ids), ranges_(ranges) {}

  void encode(std::string_view text) {
    const std::size_t valid = utf8_prefix(text);
    if (valid < text.size()) {
      fail<InputError>("text is not UTF-8 at byte ", valid, "; convert it before it is tokenized");
    }
    for (const Segment& segment :
         tokenizer_.added_.split(text, AddedTokens::Pass::kRaw, parse_special_)) {
      if (segment.id >= 0) {
        add(segment.id, {segment.begin, segment.end});
      } else {
        normalize(text.substr(segment.begin, segment.end - segment.begin), segment.begin);
      }
    }
  }

 private:
  /// `origin`: where `text` begins in the whole text.
  void normalize(std::string_view text, std::size_t origin) {
    origin_ = origin;
    nfc_.reset();
    if (tokenizer_.nfc_) {
      nfc_.emplace(text);
      text = nfc_->text();
    }
    for (const Segment& segment :
         tokenizer_.added_.split(text, AddedTokens::Pass::kNormalized, parse_special_)) {
      if (segment.id >= 0) {
        add(segment.id, original({segment.begin, segment.end}));
      } else {
        split(text.substr(segment.begin, segment.end - segment.begin), segment.begin);
      }
    }
  }

  /// `begin`: where `text` begins in the normalised segment.
  void split(std::string_view text, std::size_t begin) {
    std::string prefixed;
    std::size_t prefix = 0;
    if (tokenizer_.pre_tokenizer_.adds_prefix_space() && !text.starts_with(' ')) {
      prefixed.append(1, ' ').append(text);
      text = prefixed;
      prefix = 1;
    }
    for (const std::string_view piece : tokenizer_.pre_tokenizer_.split(text)) {
      symbols_.clear();
      tokenizer_.model_.encode(piece, symbols_);
      const std::size_t piece_begin = static_cast<std::size_t>(piece.data() - text.data());
      const auto place = [&](std::size_t i) {
        const std::size_t at = piece_begin + i;
        return begin + (at > prefix ? at - prefix : 0);
      };
      for (const Symbol& symbol : symbols_) {
        add(symbol.id, ranges_ ? original({place(symbol.begin), place(symbol.end)}) : ByteRange{});
      }
    }
  }

  ByteRange original(ByteRange range) const {
    if (nfc_) range = {nfc_->original_begin(range.begin), nfc_->original_end(range.end)};
    return {origin_ + range.begin, origin_ + range.end};
  }

  void add(std::int32_t id, ByteRange range) {
    ids_.push_back(id);
    if (ranges_) ranges_->push_back(range);
  }

  const ByteLevelTokenizer& tokenizer_;
  bool parse_special_;
  TokenIds& ids_;
  std::vector<ByteRange>* ranges_;
  std::size_t origin_ = 0;
  std::optional<NfcText> nfc_;
  std::vector<Symbol> symbols_;
};

ByteLevelTokenizer::ByteLevelTokenizer(ByteLevelParts parts)
    : model_(std::move(parts.model)),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      added_(std::move(parts.added), parts.nfc),
      frame_(std::move(parts.frame)),
      nfc_(parts.nfc) {
  std::size_t size = model_.size();
  for (const AddedToken& token : added_.tokens()) {
    size = std::max(size, static_cast<std::size_t>(token.id) + 1);
  }
  bytes_.resize(size);
  added_by_id_.resize(size);
  const auto set_bytes = [&](std::size_t id, const std::string& token) {
    bytes_[id] = bytes_of_byte_level(token).value_or(token);
  };
  const auto& tokens = model_.parts().tokens;
  for (std::size_t id = 0; id < tokens.size(); ++id) set_bytes(id, tokens[id]);
  for (const AddedToken& token : added_.tokens()) {
    set_bytes(static_cast<std::size_t>(token.id), token.content);
    added_by_id_[static_cast<std::size_t>(token.id)] = &token;
    added_ids_.emplace(token.content, token.id);
  }
  fingerprint_ = make_fingerprint();
}

TokenIds ByteLevelTokenizer::encode(std::string_view text, bool add_special,
                                    bool parse_special) const {
  TokenIds ids;
  if (add_special) ids = frame_.before;
  Encoder(*this, parse_special, ids, nullptr).encode(text);
  if (add_special) ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
  return ids;
}

TokenizedText ByteLevelTokenizer::encode_with_ranges(std::string_view text,
                                                     bool parse_special) const {
  TokenizedText result;
  Encoder(*this, parse_special, result.ids, &result.ranges).encode(text);
  return result;
}

std::string ByteLevelTokenizer::decode(const TokenIds& ids, bool skip_special) const {
  std::string bytes;
  for (const std::int64_t id : ids) {
    const std::size_t index = checked_index(id);
    if (!skip_special || !is_special(id)) bytes += bytes_[index];
  }
  return replace_malformed(bytes);
}

std::string ByteLevelTokenizer::token_bytes(std::int64_t id) const {
  return bytes_[checked_index(id)];
}

std::size_t ByteLevelTokenizer::checked_index(std::int64_t id) const {
  if (id < 0 || id >= vocab_size() || bytes_[static_cast<std::size_t>(id)].empty()) {
    fail<InputError>("token id ", id, " is not in the vocabulary of ", vocab_size(), " ids");
  }
  return static_cast<std::size_t>(id);
}

bool ByteLevelTokenizer::is_added(std::int64_t id) const {
  return id >= 0 && id < vocab_size() && added_by_id_[static_cast<std::size_t>(id)];
}

bool ByteLevelTokenizer::is_special(std::int64_t id) const {
  return is_added(id) && added_by_id_[static_cast<std::size_t>(id)]->special;
}

std::int64_t ByteLevelTokenizer::id_of(std::string_view token) const {
  const auto added = added_ids_.find(token);
  return added != added_ids_.end() ? added->second : model_.id_of(token);
}

std::string ByteLevelTokenizer::make_fingerprint() const {
  core::Hasher hasher;
  // Lengths before texts keep different lists from looking the same.
  const auto add_text = [&](std::string_view text) {
    hasher.add(std::to_string(text.size()) + ":");
    hasher.add(text);
  };
  const auto add_numbers = [&](auto... numbers) {
    ((hasher.add(std::to_string(numbers) + ",")), ...);
  };
  const BpeParts& model = model_.parts();
  add_text("byte-level BPE 1");
  for (const std::string& token : model.tokens) add_text(token);
  for (const MergeRule& rule : model_.merges().rules()) {
    add_numbers(rule.left, rule.right, rule.rank);
  }
  add_numbers(model.unknown_id, model.fuse_unknown, model.ignore_merges, nfc_);
  add_text(pre_tokenizer_.description());
  for (const AddedToken& token : added_.tokens()) {
    add_text(token.content);
    add_numbers(token.id, token.special, token.normalized, token.lstrip, token.rstrip);
  }
  for (const std::int64_t id : frame_.before) add_numbers(id);
  hasher.add(";");
  for (const std::int64_t id : frame_.after) add_numbers(id);
  return hasher.hex();
}

}  // namespace distill::text::detail
