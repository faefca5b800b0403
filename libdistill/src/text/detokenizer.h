#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <distill/io/json_value.h>
#include <distill/text/tokenizer.h>

namespace distill::text::detail {

/// How tokens become text again.
struct DecoderPlan {
  /// The rest of a token once `from` became `to`.
  struct Replace {
    std::string from;
    std::string to;
    bool removed_in_first = false;  ///< the first token loses it instead
  };
  /// Tokens are written in the byte-level alphabet; nothing else below applies then.
  bool byte_level = false;
  std::vector<Replace> replace;
  /// Tokens `<0x00>` to `<0xFF>` are bytes. A run of them that is not UTF-8 gives U+FFFD for each
  /// byte; with `replace_bytes_singly` only the bytes do that belong to no character.
  bool byte_fallback = false;
  bool replace_bytes_singly = false;
  /// So many of `strip` are taken from the beginning of the text...
  std::string strip;
  std::size_t strip_count = 0;
  /// ...or one from each token until there is text.
  bool strip_until_text = false;

  /// What it does, in words that differ when the texts may differ.
  std::string description() const;
};

/// Reads the member `decoder` of a tokenizer.json. Throws UnsupportedError for kinds, settings and
/// orders that are not known.
DecoderPlan read_decoder(const io::JsonCursor& node);

/// `<0x0A>`.
std::string byte_token(int byte);
/// The byte a token like `<0x0A>` stands for, or -1.
int byte_of_token(std::string_view token);

/// Turns tokens into text, at once or one by one.
class Detokenizer {
 public:
  Detokenizer() = default;
  /// `tokens` by id; empty where there is none.
  Detokenizer(DecoderPlan plan, const std::vector<std::string>& tokens);

  /// A text on its way.
  struct State {
    std::string pending;  ///< bytes that are no character yet
    bool first = true;
    bool has_text = false;
    std::size_t stripped = 0;
  };
  /// Appends to `out` what is sure once the token is there.
  void push(State& state, std::size_t id, std::string& out) const;
  /// A special token that gives no text: it ends a run of bytes, as in the sentencepiece package.
  void skip(State& state, std::string& out) const {
    if (plan_.replace_bytes_singly) end_bytes(state, out);
  }
  /// Appends what is left at the end.
  void finish(State& state, std::string& out) const;

  /// What the token adds in the middle of a text; raw bytes where it is no whole character.
  const std::string& bytes(std::size_t id) const { return bytes_[id]; }
  /// The token gives this text wherever it stands.
  void set_verbatim(std::size_t id, std::string text);
  std::size_t size() const { return bytes_.size(); }
  const DecoderPlan& plan() const { return plan_; }

 private:
  void add_text(State& state, std::string_view text, std::string& out) const;
  void end_bytes(State& state, std::string& out) const;
  void add_byte(State& state, std::size_t id, std::string& out) const;

  DecoderPlan plan_;
  std::vector<std::string> bytes_;
  std::vector<std::string> tokens_;  ///< as they are, where the first of a text differs
  std::vector<bool> is_byte_;
  std::vector<bool> is_verbatim_;
};

}  // namespace distill::text::detail
