#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <distill/text/tokenizer.h>

namespace distill::text::detail {

/// One step that changes a text, written from the left: parts are kept or replaced. Together the
/// parts are the whole text before the step.
class TextEdit {
 public:
  /// With `track` it can tell afterwards where bytes come from.
  TextEdit(std::string_view before, bool track) : before_(before), track_(track) {
    text_.reserve(before.size() + 16);
  }

  /// The next `size` bytes stay.
  void keep(std::size_t size);
  /// The next `size` bytes become `by`; a size of 0 inserts, an empty text removes.
  void replace(std::size_t size, std::string_view by);
  /// What comes next in the text before the step.
  std::size_t at() const { return at_; }

 private:
  friend class EditedText;
  /// A part of the text after the step.
  struct Part {
    std::size_t begin = 0;     ///< after
    std::size_t original = 0;  ///< before
    bool unchanged = true;
  };
  void add_part(bool unchanged);
  const Part& part_at(std::size_t at) const;
  std::size_t original_begin(std::size_t at) const;
  std::size_t original_end(std::size_t at) const;

  std::string_view before_;
  bool track_;
  std::size_t at_ = 0;
  std::string text_;
  std::vector<Part> parts_;  ///< sorted, and one more for the end
};

/// A text after some steps, and where it came from.
class EditedText {
 public:
  EditedText(std::string_view original, bool track) : view_(original), track_(track) {}
  EditedText(const EditedText&) = delete;
  EditedText& operator=(const EditedText&) = delete;

  std::string_view text() const { return view_; }
  /// An edit of the text as it is now; ends in `apply`.
  TextEdit edit() const { return {view_, track_}; }
  void apply(TextEdit&& edit);

  /// The bytes of the original that a range came from: exact where nothing was changed, otherwise
  /// up to the next place where the two texts surely agree. Needs `track`.
  ByteRange original(ByteRange range) const;

 private:
  std::string_view view_;
  bool track_;
  std::string current_;          ///< without `track` the last step's text
  std::vector<TextEdit> steps_;  ///< with `track` all of them
};

}  // namespace distill::text::detail
