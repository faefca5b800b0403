#pragma once

#include <filesystem>
#include <iosfwd>

namespace distill::commands {

struct TokenizeOptions {
  std::filesystem::path model;  ///< folder with the tokenizer
  bool add_special = true;      ///< BOS/EOS as the post-processor adds them
  /// Special tokens written out in a text are recognised, even where the package of the tokenizer
  /// takes them for text (tokenizer.model).
  bool parse_special = false;
  bool jsonl = false;   ///< texts are JSON objects with `text`, so that they may hold line breaks
  bool decode = false;  ///< ids to texts instead
  bool json = false;    ///< write JSON objects: {"ids": [...]} or {"text": ...}
};

/// One text a line in, one line of ids out (or the reverse). Throws InputError naming the line.
void tokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out);

}  // namespace distill::commands
