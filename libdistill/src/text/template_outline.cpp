#include "text/template_outline.h"

#include <algorithm>
#include <utility>

namespace distill::text::detail {
namespace {

constexpr std::string_view kBlank = " \t\n\r\v\f";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// A token of an expression: a text (its value) or anything else (its spelling).
struct Token {
  bool is_text = false;
  std::string value;
};

/// The value of the text that begins with a quote at `at`; moves `at` behind it.
std::optional<std::string> read_text(std::string_view code, std::size_t& at) {
  const char quote = code[at++];
  std::string value;
  for (; at < code.size() && code[at] != quote; ++at) {
    if (code[at] != '\\') {
      value += code[at];
      continue;
    }
    if (++at == code.size()) return std::nullopt;
    switch (code[at]) {
      case 'n':
        value += '\n';
        break;
      case 't':
        value += '\t';
        break;
      case '\\':
      case '\'':
      case '"':
        value += code[at];
        break;
      default:
        return std::nullopt;
    }
  }
  if (at == code.size()) return std::nullopt;
  ++at;
  return value;
}

std::optional<std::vector<Token>> tokenize(std::string_view code) {
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < code.size();) {
    const char c = code[at];
    if (kBlank.find(c) != std::string_view::npos) {
      ++at;
    } else if (c == '\'' || c == '"') {
      auto text = read_text(code, at);
      if (!text) return std::nullopt;
      tokens.push_back({true, std::move(*text)});
    } else if (is_word(c)) {
      std::size_t end = at;
      while (end < code.size() && is_word(code[end])) ++end;
      tokens.push_back({false, std::string(code.substr(at, end - at))});
      at = end;
    } else {
      const std::string_view two = code.substr(at, 2);
      const std::size_t size = two == "==" || two == "!=" || two == "<=" || two == ">=" ? 2 : 1;
      tokens.push_back({false, std::string(code.substr(at, size))});
      at += size;
    }
  }
  return tokens;
}

bool is_name(const Token& token) {
  return !token.is_text && is_word(token.value[0]);
}
bool is_sign(const Token& token, std::string_view sign) {
  return !token.is_text && token.value == sign;
}

/// `x['name']` becomes `x.name`.
std::vector<Token> use_dots(const std::vector<Token>& tokens) {
  std::vector<Token> result;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool follows = !result.empty() && (is_name(result.back()) || is_sign(result.back(), "]"));
    const bool member = follows && i + 2 < tokens.size() && is_sign(tokens[i], "[") &&
                        tokens[i + 1].is_text && !tokens[i + 1].value.empty() &&
                        std::ranges::all_of(tokens[i + 1].value, is_word) &&
                        is_sign(tokens[i + 2], "]");
    if (member) {
      result.push_back({false, "."});
      result.push_back({false, tokens[i + 1].value});
      i += 2;
    } else {
      result.push_back(tokens[i]);
    }
  }
  return result;
}

std::string spell(const std::vector<Token>& tokens) {
  std::string text;
  bool tight = true;  // no blank before the next token
  for (const Token& token : tokens) {
    const bool opens = is_sign(token, "(") || is_sign(token, "[") || is_sign(token, ".");
    const bool closes = is_sign(token, ")") || is_sign(token, "]") || is_sign(token, ",");
    const bool index = is_sign(token, "[") || is_sign(token, ".");
    if (!tight && !closes && !index) text += ' ';
    text += token.is_text ? quote_text(token.value) : token.value;
    tight = opens;
  }
  return text;
}

/// Collects items; joins neighbouring outputs and texts.
class Builder {
 public:
  void statement(std::string text) {
    flush();
    outline_.push_back("{" + std::move(text) + "}");
  }
  void text(std::string_view value) {
    if (terms_.empty() || !terms_.back().is_text) terms_.push_back({true, ""});
    terms_.back().value += value;
  }
  /// The terms of a sum.
  void output(const std::vector<Token>& tokens) {
    std::vector<Token> term;
    int depth = 0;
    const auto end_term = [&] {
      if (term.size() == 1 && term[0].is_text) {
        text(term[0].value);
      } else {
        terms_.push_back({false, spell(term)});
      }
      term.clear();
    };
    for (const Token& token : tokens) {
      if (is_sign(token, "(") || is_sign(token, "[")) ++depth;
      if (is_sign(token, ")") || is_sign(token, "]")) --depth;
      if (depth == 0 && is_sign(token, "+")) {
        end_term();
      } else {
        term.push_back(token);
      }
    }
    end_term();
  }
  TemplateOutline take() {
    flush();
    return std::move(outline_);
  }

 private:
  void flush() {
    std::string item;
    for (const Token& term : terms_) {
      if (term.is_text && term.value.empty()) continue;
      if (!item.empty()) item += '+';
      item += term.is_text ? quote_text(term.value) : term.value;
    }
    terms_.clear();
    if (!item.empty()) outline_.push_back("<" + item + ">");
  }

  TemplateOutline outline_;
  std::vector<Token> terms_;
};

/// Where the tag's closing `%}` or `}}` begins, texts skipped.
std::size_t find_close(std::string_view source, std::size_t at, std::string_view close) {
  for (; at < source.size(); ++at) {
    if (source.substr(at, 2) == close) return at;
    if (source[at] != '\'' && source[at] != '"') continue;
    const char quote = source[at];
    for (++at; at < source.size() && source[at] != quote; ++at) {
      if (source[at] == '\\') ++at;
    }
  }
  return std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(std::string_view source) : source_(source) {}

  std::optional<TemplateOutline> read() {
    while (at_ < source_.size()) {
      const std::size_t open = find_open();
      if (open == std::string_view::npos) {
        out_.text(source_.substr(at_));
        break;
      }
      if (!read_tag(open)) return std::nullopt;
    }
    return out_.take();
  }

 private:
  std::size_t find_open() const {
    for (std::size_t at = at_; at + 1 < source_.size(); ++at) {
      const char next = source_[at + 1];
      if (source_[at] == '{' && (next == '%' || next == '{' || next == '#')) return at;
    }
    return std::string_view::npos;
  }

  /// The text before a tag, after white space control.
  std::string_view text_before(std::size_t open, bool strips, bool is_output) const {
    std::string_view text = source_.substr(at_, open - at_);
    if (strips) return text.substr(0, text.find_last_not_of(kBlank) + 1);
    if (is_output) return text;
    const std::size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
    const bool blank = text.find_first_not_of(" \t", line) == std::string_view::npos;
    return blank && (line > 0 || at_line_start_) ? text.substr(0, line) : text;
  }

  bool read_tag(std::size_t open) {
    const char kind = source_[open + 1];
    const bool is_output = kind == '{';
    const std::string_view close = is_output ? "}}" : kind == '%' ? "%}" : "#}";
    const std::size_t end =
        kind == '#' ? source_.find(close, open + 2) : find_close(source_, open + 2, close);
    if (end == std::string_view::npos) return false;
    std::string_view body = source_.substr(open + 2, end - open - 2);
    if (body.starts_with('+') || body.ends_with('+')) return false;
    const bool strips_before = body.starts_with('-');
    if (strips_before) body.remove_prefix(1);
    const bool strips_after = body.ends_with('-');
    if (strips_after) body.remove_suffix(1);
    out_.text(text_before(open, strips_before, is_output));
    skip_after(end + 2, strips_after, is_output);
    return kind == '#' || add_tag(body, is_output);
  }

  void skip_after(std::size_t at, bool strips, bool is_output) {
    at_ = at;
    if (strips) at_ = std::min(source_.find_first_not_of(kBlank, at_), source_.size());
    if (!strips && !is_output && source_.substr(at_).starts_with('\n')) ++at_;
    at_line_start_ = source_[at_ - 1] == '\n';
  }

  bool add_tag(std::string_view body, bool is_output) {
    const auto tokens = tokenize(body);
    if (!tokens || tokens->empty()) return false;
    if (is_output) {
      out_.output(use_dots(*tokens));
    } else {
      out_.statement(spell(use_dots(*tokens)));
    }
    return true;
  }

  std::string_view source_;
  std::size_t at_ = 0;
  bool at_line_start_ = true;
  Builder out_;
};

}  // namespace

std::string quote_text(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else {
      if (c == '\\' || c == '\'') quoted += '\\';
      quoted += c;
    }
  }
  return quoted + "'";
}

std::optional<std::string> unquote_text(std::string_view quoted) {
  if (!quoted.starts_with('\'')) return std::nullopt;
  std::size_t at = 0;
  auto text = read_text(quoted, at);
  return at == quoted.size() ? text : std::nullopt;
}

std::optional<TemplateOutline> outline_template(std::string_view source) {
  if (source.find('\r') != std::string_view::npos) return std::nullopt;
  if (source.ends_with('\n')) source.remove_suffix(1);  // as Jinja does
  return Reader(source).read();
}

}  // namespace distill::text::detail
