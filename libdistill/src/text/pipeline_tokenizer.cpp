#include "text/pipeline_tokenizer.h"

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/hash.h>

#include "text/utf8.h"

namespace distill::text::detail {

/// One text on its way through the steps.
class PipelineTokenizer::Encoder {
 public:
  Encoder(const PipelineTokenizer& tokenizer, bool parse_special, TokenIds& ids,
          std::vector<ByteRange>* ranges)
      : tokenizer_(tokenizer), parse_special_(parse_special), ids_(ids), ranges_(ranges) {}

  void encode(std::string_view text) {
    check_utf8(text);
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
    if (tokenizer_.library_) return tokenizer_.library_->encode(text, origin, ids_, ranges_);
    EditedText edited(text, ranges_ != nullptr);
    const auto& later = tokenizer_.later_normalizer_;
    (origin > 0 && later ? *later : tokenizer_.normalizer_).apply(edited);
    const std::string_view normal = edited.text();
    for (const Segment& segment :
         tokenizer_.added_.split(normal, AddedTokens::Pass::kNormalized, parse_special_)) {
      const auto original = [&](ByteRange range) {
        range = edited.original({segment.begin + range.begin, segment.begin + range.end});
        return ByteRange{origin + range.begin, origin + range.end};
      };
      const std::size_t size = segment.end - segment.begin;
      if (segment.id >= 0) {
        add(segment.id, ranges_ ? original({0, size}) : ByteRange{});
      } else {
        split(normal.substr(segment.begin, size), origin + segment.begin == 0, original);
      }
    }
  }

  /// `original` gives the bytes of the whole text that bytes of `text` came from.
  template <class Original>
  void split(std::string_view text, bool at_start, Original original) {
    EditedText edited(text, ranges_ != nullptr);
    tokenizer_.pre_tokenizer_.split(edited, at_start, pieces_);
    for (const ByteRange piece : pieces_) {
      symbols_.clear();
      tokenizer_.model_.encode(edited.text().substr(piece.begin, piece.end - piece.begin),
                               symbols_);
      for (const Symbol& symbol : symbols_) {
        if (ranges_) {
          ranges_->push_back(
              original(edited.original({piece.begin + symbol.begin, piece.begin + symbol.end})));
        }
        ids_.push_back(symbol.id);
      }
    }
  }

  void add(std::int32_t id, ByteRange range) {
    ids_.push_back(id);
    if (ranges_) ranges_->push_back(range);
  }

  const PipelineTokenizer& tokenizer_;
  bool parse_special_;
  TokenIds& ids_;
  std::vector<ByteRange>* ranges_;
  std::vector<ByteRange> pieces_;
  std::vector<Symbol> symbols_;
};

class PipelineTokenizer::Stream final : public TokenStream {
 public:
  Stream(const PipelineTokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  std::string push(std::int64_t id) override {
    std::string text;
    const std::size_t index = tokenizer_.checked_index(id);
    if (!skip_special_ || !tokenizer_.is_skipped_[index]) {
      tokenizer_.detokenizer_.push(state_, index, text);
    } else {
      tokenizer_.detokenizer_.skip(state_, text);
    }
    return text;
  }

  std::string finish() override {
    std::string text;
    tokenizer_.detokenizer_.finish(state_, text);
    return text;
  }

 private:
  const PipelineTokenizer& tokenizer_;
  bool skip_special_;
  Detokenizer::State state_;
};

namespace {

/// How an added token reads when it is decoded: the package keeps normalized ones as they are after
/// the normalizer, U+2581 before them included.
std::string decoded_form(const AddedToken& token, const Normalizer& normalizer) {
  return token.normalized ? normalizer.apply(token.content) : token.content;
}

/// The tokens of the model and the added ones by id, as they are decoded.
std::vector<std::string> all_tokens(const BpeParts& model, const std::vector<AddedToken>& added,
                                    const Normalizer& normalizer) {
  std::vector<std::string> tokens = model.tokens;
  for (const AddedToken& token : added) {
    const auto index = static_cast<std::size_t>(token.id);
    if (index >= tokens.size()) tokens.resize(index + 1);
    tokens[index] = decoded_form(token, normalizer);
  }
  return tokens;
}

}  // namespace

PipelineTokenizer::PipelineTokenizer(TokenizerParts parts)
    : model_(std::move(parts.model)),
      normalizer_(std::move(parts.normalizer)),
      later_normalizer_(std::move(parts.later_normalizer)),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      added_(std::move(parts.added), normalizer_),
      frame_(std::move(parts.frame)),
      library_(std::move(parts.library)),
      parses_special_(parts.parses_special) {
  const std::vector<std::string> tokens = all_tokens(model_.parts(), added_.tokens(), normalizer_);
  detokenizer_ = Detokenizer(std::move(parts.decoder), tokens);
  for (auto& [id, text] : parts.verbatim) {
    detokenizer_.set_verbatim(static_cast<std::size_t>(id), std::move(text));
  }
  is_token_.resize(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) is_token_[id] = !tokens[id].empty();
  is_skipped_.resize(tokens.size());
  added_by_id_.resize(tokens.size());
  for (const AddedToken& token : added_.tokens()) {
    added_by_id_[static_cast<std::size_t>(token.id)] = &token;
    added_ids_.emplace(token.content, token.id);
    is_skipped_[static_cast<std::size_t>(token.id)] =
        token.special && decoded_form(token, normalizer_) == token.content;
  }
  make_fingerprint(parts.library_hash);
}

TokenIds PipelineTokenizer::encode(std::string_view text, bool add_special,
                                   bool parse_special) const {
  TokenIds ids;
  ids.reserve(text.size() / 3 + 8);
  if (add_special) ids = frame_.before;
  Encoder(*this, parse_special, ids, nullptr).encode(text);
  if (add_special) ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
  return ids;
}

TokenizedText PipelineTokenizer::encode_with_ranges(std::string_view text,
                                                    bool parse_special) const {
  TokenizedText result;
  Encoder(*this, parse_special, result.ids, &result.ranges).encode(text);
  return result;
}

std::unique_ptr<TokenStream> PipelineTokenizer::stream(bool skip_special) const {
  return std::make_unique<Stream>(*this, skip_special);
}

std::string PipelineTokenizer::decode(const TokenIds& ids, bool skip_special) const {
  std::string text;
  if (detokenizer_.plan().byte_level) {  // without a stop at each character
    for (const std::int64_t id : ids) {
      const std::size_t index = checked_index(id);
      if (!skip_special || !is_skipped_[index]) text += detokenizer_.bytes(index);
    }
    return replace_malformed(text);
  }
  Detokenizer::State state;
  for (const std::int64_t id : ids) {
    const std::size_t index = checked_index(id);
    if (!skip_special || !is_skipped_[index]) {
      detokenizer_.push(state, index, text);
    } else {
      detokenizer_.skip(state, text);
    }
  }
  detokenizer_.finish(state, text);
  return text;
}

std::string PipelineTokenizer::token_bytes(std::int64_t id) const {
  return detokenizer_.bytes(checked_index(id));
}

std::size_t PipelineTokenizer::checked_index(std::int64_t id) const {
  if (id < 0 || id >= vocab_size() || !is_token_[static_cast<std::size_t>(id)]) {
    fail<InputError>("token id ", id, " is not in the vocabulary of ", vocab_size(), " ids");
  }
  return static_cast<std::size_t>(id);
}

bool PipelineTokenizer::is_added(std::int64_t id) const {
  return id >= 0 && id < vocab_size() && added_by_id_[static_cast<std::size_t>(id)];
}

bool PipelineTokenizer::is_special(std::int64_t id) const {
  return is_added(id) && added_by_id_[static_cast<std::size_t>(id)]->special;
}

std::int64_t PipelineTokenizer::id_of(std::string_view token) const {
  const auto added = added_ids_.find(token);
  return added != added_ids_.end() ? added->second : model_.id_of(token);
}

void PipelineTokenizer::make_fingerprint(const std::string& library_hash) {
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
  add_text("pipeline 2");
  add_text(library_hash);
  for (const std::string& token : model.tokens) add_text(token);
  for (const std::string& helper : model.helpers) add_text(helper);
  for (const MergeRule& rule : model_.merges().rules()) {
    add_numbers(rule.left, rule.right, rule.rank);
  }
  add_numbers(model.unknown_id, model.fuse_unknown, model.ignore_merges, model.byte_level);
  for (const std::int32_t id : model.byte_ids) add_numbers(id);
  add_text(normalizer_.description());
  if (later_normalizer_) add_text(later_normalizer_->description());
  add_text(pre_tokenizer_.description());
  add_text(detokenizer_.plan().description());
  for (const AddedToken& token : added_.tokens()) {
    add_text(token.content);
    add_numbers(token.id, token.special, token.normalized, token.lstrip, token.rstrip,
                token.single_word);
  }
  for (const std::int64_t id : frame_.before) add_numbers(id);
  hasher.add(";");
  for (const std::int64_t id : frame_.after) add_numbers(id);
  fingerprint_ = hasher.hex();
}

}  // namespace distill::text::detail
