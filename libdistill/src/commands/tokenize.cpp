#include <distill/commands/tokenize.h>

#include <istream>
#include <ostream>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/io/jsonl.h>
#include <distill/text/tokenizer.h>

#include "commands/ids_file.h"

namespace distill::commands {

namespace {

std::string text_of(const std::string& line, bool jsonl, const std::string& source) {
  if (!jsonl) return line;
  const io::JsonValue row = io::parse_json(line, source, io::kJsonlRowLimits);
  return io::JsonCursor(row, source).at("text").as_string();
}

void write_ids(const text::TokenIds& ids, bool json, std::ostream& out) {
  if (json) {
    core::JsonWriter writer;
    writer.begin_object().key("ids").begin_array();
    for (const auto id : ids) writer.value(id);
    out << writer.end_array().end_object().text();
  } else {
    for (std::size_t i = 0; i < ids.size(); ++i) out << (i > 0 ? " " : "") << ids[i];
  }
  out << '\n';
}

void write_text(const std::string& text, bool json, std::ostream& out) {
  if (json) {
    core::JsonWriter writer;
    out << writer.begin_object().member("text", text).end_object().text();
  } else {
    out << text;
  }
  out << '\n';
}

}  // namespace

void tokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out) {
  const auto tokenizer = text::load_tokenizer(options.model);
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    const std::string source = core::concat("standard input:", number);
    try {
      if (options.decode) {
        const auto text = tokenizer->decode(parse_ids(line, source), /*skip_special=*/false);
        write_text(text, options.jsonl || options.json, out);
      } else {
        const auto text = text_of(line, options.jsonl, source);
        const bool parse = tokenizer->parses_special() || options.parse_special;
        write_ids(tokenizer->encode(text, options.add_special, parse), options.json, out);
      }
    } catch (const InputError& error) {
      const std::string_view what = error.what();
      if (what.starts_with(source)) throw;
      fail<InputError>(source, ": ", what);
    }
  }
}

}  // namespace distill::commands
