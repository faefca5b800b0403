#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <distill/text/tokenizer.h>

/// Where two tokenizations of one text meet.
namespace distill::text {

/// One token as an alignment sees it.
struct AlignedToken {
  std::string_view bytes;  ///< what it spells; of a special token how it is written, or nothing
  bool special = false;    ///< it stands for no text
  bool target = false;     ///< it is to be learned
};

/// Tokens [student_begin, student_end) of the student and [teacher_begin, teacher_end) of the
/// teacher, none of them empty, that stand for the same bytes behind the same text.
struct TokenChunk {
  std::int64_t student_begin = 0;
  std::int64_t student_end = 0;
  std::int64_t teacher_begin = 0;
  std::int64_t teacher_end = 0;
  bool target = false;  ///< all of the student's tokens are to be learned
  bool operator==(const TokenChunk&) const = default;
};

struct TokenAlignment {
  std::vector<TokenChunk> chunks;  ///< as short as can be, in rising order
  std::int64_t runs = 0;           ///< texts that were compared
  std::int64_t runs_left_out = 0;  ///< in some part or whole, since their bytes differ
  std::string difference;          ///< of the first that was left out, for people
};

/// Aligns two tokenizations of one document by the bytes they spell; tokens may split characters.
///
/// A document without special tokens inside is compared as a whole. Otherwise, and where the whole
/// differs, templates wrote it, and only the runs of tokens to be learned are compared, the k-th of
/// one with the k-th of the other. Within a text, special tokens must stand in the same places;
/// each is a chunk with its counterpart, whatever the two are called: the end of a turn. Special
/// tokens at the start of a text (BOS) belong to no chunk. Blanks at the start of a text may differ
/// (a dummy prefix, a line break of a template): tokens of nothing else are in no chunk, and a
/// token that begins with them counts as what follows. Blanks at its end may differ too, and are
/// then in no chunk, nor is what follows. So is a special token that the other tokenizer does not
/// have and that stands there as text. A text that differs otherwise is left out.
TokenAlignment align_tokens(std::span<const AlignedToken> student,
                            std::span<const AlignedToken> teacher);

/// What every id of a tokenizer spells, for many look-ups. Ids that are no token, or beyond the
/// vocabulary, count as special ones that are written as nothing.
class TokenSpellings {
 public:
  explicit TokenSpellings(const Tokenizer& tokenizer);
  AlignedToken at(std::int64_t id, bool target) const;

 private:
  struct Spelling {
    std::size_t begin = 0;
    std::uint32_t size = 0;
    bool special = true;
  };
  std::string bytes_;
  std::vector<Spelling> spellings_;
};

}  // namespace distill::text
