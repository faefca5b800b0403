#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace distill::text {

using TokenIds = std::vector<std::int64_t>;

/// Bytes [begin, end) of a text.
struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Ids, and the bytes of the text that each stands for. Where a step changes the text (normal
/// form C) a range may be a little wider than what the id spells.
struct TokenizedText {
  TokenIds ids;
  std::vector<ByteRange> ranges;
};

/// Ids in, text out, one by one. Gives out whole characters only; all that it gives together is
/// what `decode` gives for all ids.
class TokenStream {
 public:
  virtual ~TokenStream() = default;
  /// The text that is sure now. Throws InputError for an id out of range.
  virtual std::string push(std::int64_t id) = 0;
  /// The rest, at the end.
  virtual std::string finish() = 0;
};

/// Text to ids and back, exactly as the model's own tokenizer does. Safe to use from several
/// threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text`. Special tokens written out in the text are recognised when `parse_special`.
  /// With `add_special` the post-processor's BOS/EOS are added, if the model has any.
  /// Throws InputError when the text is not UTF-8.
  virtual TokenIds encode(std::string_view text, bool add_special,
                          bool parse_special = true) const = 0;

  /// As `encode` without `add_special`, and where each id comes from. This default is for
  /// tokenizers whose tokens spell the text out; it throws UnsupportedError where they do not.
  virtual TokenizedText encode_with_ranges(std::string_view text, bool parse_special = true) const;

  /// The bytes of the ids, malformed UTF-8 replaced by U+FFFD. Throws InputError for an id out of
  /// range.
  virtual std::string decode(const TokenIds& ids, bool skip_special = true) const = 0;

  /// `decode` for ids that come one by one. The tokenizer must outlive it.
  virtual std::unique_ptr<TokenStream> stream(bool skip_special = true) const;

  /// The raw bytes that one id adds in the middle of a text (StreamDecoder puts characters back
  /// together).
  virtual std::string token_bytes(std::int64_t id) const = 0;

  virtual bool is_special(std::int64_t id) const = 0;
  /// The id of a token by its text (`<|im_end|>`), or -1.
  virtual std::int64_t id_of(std::string_view token) const = 0;
  /// Number of ids the tokenizer can produce; models may have more rows.
  virtual std::int64_t vocab_size() const = 0;
  /// From tokenizer_config.json / generation_config.json / config.json; -1 when there is none.
  virtual std::int64_t bos_id() const = 0;
  virtual std::int64_t eos_id() const = 0;
  virtual std::int64_t pad_id() const = 0;
  /// A hash of what it computes (vocabulary, merges, special tokens, splitting): two tokenizers
  /// with the same value give the same ids.
  virtual std::string fingerprint() const = 0;

  /// Whether the package that its file belongs to recognises special tokens written out in a plain
  /// text: `tokenizers` does, `sentencepiece` takes them for text.
  virtual bool parses_special() const { return true; }
};

/// Opens the tokenizer of a Hugging Face folder. Throws InputError / FormatError / UnsupportedError
/// naming what is missing, malformed or not supported: never a tokenizer that gives wrong ids.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder);

/// Ids of many texts, in their order, worked out by so many threads. Throws the error of the first
/// text that has one: InputError `text N: ...`.
std::vector<TokenIds> encode_batch(const Tokenizer& tokenizer, std::span<const std::string> texts,
                                   int num_threads, bool add_special = false);

/// Puts streamed token bytes together into whole UTF-8 characters.
class StreamDecoder {
 public:
  /// The characters completed by these bytes; an unfinished one is kept back.
  std::string push(std::string_view bytes);
  /// What is left at the end, replaced by U+FFFD when it is no whole character.
  std::string finish();

 private:
  std::string pending_;
};

}  // namespace distill::text
