#include "text/detokenizer.h"

#include <charconv>
#include <utility>

#include <distill/core/strings.h>

#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace distill::text::detail {
namespace {

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  std::size_t done = 0;
  for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
    result.append(text.substr(done, at - done)).append(to);
    done = at + from.size();
  }
  return result.append(text.substr(done));
}

std::string token_text(const DecoderPlan& plan, std::string text, bool first) {
  for (const DecoderPlan::Replace& step : plan.replace) {
    const bool removed = first && step.removed_in_first;
    text = replaced(text, step.from, removed ? std::string_view() : step.to);
  }
  return text;
}

}  // namespace

std::string DecoderPlan::description() const {
  std::string text = core::concat(byte_level, byte_fallback, replace_bytes_singly, strip_until_text,
                                  strip_count, ":", strip);
  for (const Replace& step : replace) {
    text += core::concat("|", step.from.size(), ":", step.from, ":", step.to.size(), ":", step.to,
                         step.removed_in_first);
  }
  return text;
}

std::string byte_token(int byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<',
          '0',
          'x',
          kDigits[static_cast<std::size_t>(byte) >> 4],
          kDigits[static_cast<std::size_t>(byte) & 15],
          '>'};
}

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = -1;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  return error == std::errc() && end == token.data() + 5 ? value : -1;
}

Detokenizer::Detokenizer(DecoderPlan plan, const std::vector<std::string>& tokens)
    : plan_(std::move(plan)),
      bytes_(tokens.size()),
      is_byte_(tokens.size()),
      is_verbatim_(tokens.size()) {
  bool first_differs = false;
  for (const auto& step : plan_.replace) first_differs = first_differs || step.removed_in_first;
  if (first_differs) tokens_ = tokens;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (plan_.byte_level) {
      bytes_[id] = bytes_of_byte_level(tokens[id]).value_or(tokens[id]);
      continue;
    }
    bytes_[id] = token_text(plan_, tokens[id], false);
    const int byte = plan_.byte_fallback ? byte_of_token(bytes_[id]) : -1;
    if (byte >= 0) {
      bytes_[id] = std::string(1, static_cast<char>(byte));
      is_byte_[id] = true;
    }
  }
}

void Detokenizer::set_verbatim(std::size_t id, std::string text) {
  bytes_[id] = std::move(text);
  is_byte_[id] = false;
  is_verbatim_[id] = true;
}

void Detokenizer::push(State& state, std::size_t id, std::string& out) const {
  const bool first = std::exchange(state.first, false);
  if (plan_.byte_level || is_byte_[id]) return add_byte(state, id, out);
  end_bytes(state, out);
  if (is_verbatim_[id]) {
    state.has_text = true;
    out += bytes_[id];
    return;
  }
  if (first && !tokens_.empty()) return add_text(state, token_text(plan_, tokens_[id], true), out);
  add_text(state, bytes_[id], out);
}

void Detokenizer::add_byte(State& state, std::size_t id, std::string& out) const {
  state.pending += bytes_[id];
  if (!plan_.byte_level && !plan_.replace_bytes_singly) return;  // the whole run counts
  std::size_t at = 0;
  while (at < state.pending.size()) {
    Utf8Step step = utf8_step(state.pending, at);
    if (step.state == Utf8State::kUnfinished) break;
    if (step.state == Utf8State::kMalformed && !plan_.byte_level) step.size = 1;
    const bool whole = step.state == Utf8State::kWhole;
    out += whole ? std::string_view(state.pending).substr(at, step.size) : kReplacement;
    state.has_text = true;
    at += step.size;
  }
  state.pending.erase(0, at);
}

void Detokenizer::end_bytes(State& state, std::string& out) const {
  if (state.pending.empty()) return;
  const std::string bytes = std::exchange(state.pending, {});
  if (plan_.byte_level) {
    out += replace_malformed(bytes);
  } else if (core::is_utf8(bytes)) {
    add_text(state, bytes, out);
  } else {
    for (std::size_t i = 0; i < bytes.size(); ++i) add_text(state, kReplacement, out);
  }
}

void Detokenizer::finish(State& state, std::string& out) const {
  end_bytes(state, out);
}

void Detokenizer::add_text(State& state, std::string_view text, std::string& out) const {
  if (!state.has_text && !plan_.strip.empty()) {
    while (state.stripped < plan_.strip_count && text.starts_with(plan_.strip)) {
      text.remove_prefix(plan_.strip.size());
      ++state.stripped;
    }
    if (plan_.strip_until_text) state.stripped = 0;
  }
  if (text.empty()) return;
  state.has_text = true;
  out += text;
}

}  // namespace distill::text::detail
