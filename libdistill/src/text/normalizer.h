#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <distill/io/json_value.h>

#include "text/edited_text.h"

namespace distill::text::detail {

/// The steps that change a text before it is split.
class Normalizer {
 public:
  enum class Kind : std::uint8_t {
    kNfc,
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,
    kStrip,    ///< white space at the ends
    kPrepend,  ///< to a text that is not empty
    kReplace
  };
  struct Step {
    Kind kind = Kind::kNfc;
    std::string from;    ///< of kReplace
    std::string to;      ///< of kReplace and kPrepend
    bool left = false;   ///< of kStrip
    bool right = false;  ///< of kStrip
  };

  Normalizer() = default;
  explicit Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {}
  /// `node` is the member `normalizer` of a tokenizer.json. Throws UnsupportedError for kinds and
  /// settings that are not known.
  explicit Normalizer(const io::JsonCursor& node);

  void apply(EditedText& text) const;
  std::string apply(std::string_view text) const;
  /// A step may take text away.
  bool may_remove() const;
  /// What it does, in words that differ when the texts may differ.
  std::string description() const;

 private:
  void read_step(const io::JsonCursor& node);

  std::vector<Step> steps_;
};

/// Every occurrence of `from`, from the left, becomes `to`.
void replace_all(EditedText& text, std::string_view from, std::string_view to);

}  // namespace distill::text::detail
