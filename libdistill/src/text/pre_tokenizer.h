#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <distill/io/json_value.h>

#include "text/edited_text.h"
#include "text/split_patterns.h"

namespace distill::text::detail {

/// What becomes of the matches of a split.
enum class SplitBehavior : std::uint8_t {
  kRemoved,
  kIsolated,            ///< pieces of their own
  kMergedWithPrevious,  ///< the end of the piece before
  kMergedWithNext,      ///< the beginning of the piece after
  kContiguous           ///< matches in a row are one piece
};

/// Cuts text into the pieces that BPE works on.
class PreTokenizer {
 public:
  /// Leaves a text whole.
  PreTokenizer() = default;
  /// `node` is the member `pre_tokenizer` of a tokenizer.json. Throws UnsupportedError for steps,
  /// patterns and settings that are not known, FormatError for malformed ones.
  explicit PreTokenizer(const io::JsonCursor& node);

  /// The pieces of a text in order, as bytes of `text` as it is afterwards: some steps change it.
  /// `at_start`: the text is the beginning of all that is tokenized.
  void split(EditedText& text, bool at_start, std::vector<ByteRange>& pieces) const;

  /// The last step writes bytes in the byte-level alphabet.
  bool is_byte_level() const { return byte_level_; }
  /// A step treats the beginning of all that is tokenized in its own way.
  bool looks_at_start() const;
  /// What it does, in words that differ when the pieces may differ.
  std::string description() const;

 private:
  enum class Kind : std::uint8_t { kSplit, kPrefixSpace, kMetaspace };
  enum class Scheme : std::uint8_t { kAlways, kFirst, kNever };
  struct Step {
    Kind kind = Kind::kSplit;
    std::string name;          ///< of the pattern
    MatchEnd match = nullptr;  ///< null: the literal text
    std::string literal;       ///< of kSplit, or what stands for a space
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;  ///< what does not match is the match
    Scheme scheme = Scheme::kNever;
    bool split = false;  ///< before each `literal`
  };
  void read_step(const io::JsonCursor& node);
  void add_split(std::string name, MatchEnd match);
  void read_byte_level(const io::JsonCursor& node);
  void read_digits(const io::JsonCursor& node);
  void read_split(const io::JsonCursor& node);
  void read_metaspace(const io::JsonCursor& node);
  static void run_split(const Step& step, std::string_view text, std::vector<ByteRange>& pieces);
  static void put_before(const Step& step, bool at_start, EditedText& text,
                         std::vector<ByteRange>& pieces);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace distill::text::detail
