#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <distill/io/json_value.h>

#include "text/split_patterns.h"

namespace distill::text::detail {

/// Cuts text into the pieces that BPE works on.
class PreTokenizer {
 public:
  /// `node` is the member `pre_tokenizer` of a tokenizer.json. Throws UnsupportedError for steps,
  /// patterns and settings that are not known, FormatError for malformed ones.
  explicit PreTokenizer(const io::JsonCursor& node);

  /// The pieces of a text in order; they cover it without gaps.
  std::vector<std::string_view> split(std::string_view text) const;

  /// A space is put before a text that has none there, before it is split.
  bool adds_prefix_space() const { return adds_prefix_space_; }
  /// What it does, in words that differ when the pieces may differ.
  std::string description() const;

 private:
  struct Step {
    std::string name;
    MatchEnd match;
  };
  void read_step(const io::JsonCursor& node);
  void read_byte_level(const io::JsonCursor& node);
  void read_digits(const io::JsonCursor& node);
  void read_split(const io::JsonCursor& node);

  std::vector<Step> steps_;
  bool adds_prefix_space_ = false;
  bool byte_level_seen_ = false;
};

}  // namespace distill::text::detail
