#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace distill::testing {

/// Fails the test where a page is not well formed: tags that do not close in order, attributes
/// without quotes, a bare `<`, `>` or `&` in text. Looks at our own pages, not at HTML in general.
class HtmlCheck {
 public:
  explicit HtmlCheck(std::string_view page) : page_(page) {
    if (page_.starts_with("<!doctype html>")) at_ = 15;
    while (at_ < page_.size() && problem_.empty()) {
      if (page_[at_] == '<') {
        tag();
      } else {
        text();
      }
    }
    if (problem_.empty() && !open_.empty()) problem_ = "<" + open_.back() + "> is not closed";
    EXPECT_EQ(problem_, "") << "near: " << page_.substr(at_ < 60 ? 0 : at_ - 60, 160);
  }

  /// How many elements of this name there are.
  std::int64_t count(std::string_view name) const { return std::ranges::count(names_, name); }
  /// Text outside of tags and style, entities as they are.
  const std::string& words() const { return words_; }

 private:
  void text() {
    const bool style = !open_.empty() && open_.back() == "style";
    const std::size_t end = std::min(page_.find(style ? "</style" : "<", at_), page_.size());
    const std::string_view part = page_.substr(at_, end - at_);
    if (!style) {
      check_entities(part);
      if (part.find('>') != std::string_view::npos) problem_ = "a bare >";
      words_ += part;
    }
    at_ = end;
  }
  void check_entities(std::string_view part) {
    for (std::size_t i = part.find('&'); i != std::string_view::npos; i = part.find('&', i + 1)) {
      const std::size_t end = part.find(';', i);
      const bool named = end != std::string_view::npos && end > i + 1 && end - i < 9;
      if (!named) problem_ = "a bare &";
    }
  }
  /// At `<`; the end is the next `>` outside of quotes.
  void tag() {
    bool quoted = false;
    std::size_t end = at_ + 1;
    for (; end < page_.size() && (quoted || page_[end] != '>'); ++end) {
      if (page_[end] == '"') quoted = !quoted;
      if (page_[end] == '<') problem_ = "a < in a tag";
    }
    if (end >= page_.size()) {
      problem_ = "a tag without end";
      return;
    }
    std::string_view inside = page_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    check_entities(inside);
    if (inside.starts_with('/')) {
      const std::string name(inside.substr(1));
      if (open_.empty() || open_.back() != name) {
        problem_ = "</" + name + "> closes " + (open_.empty() ? "nothing" : open_.back());
      } else {
        open_.pop_back();
      }
      return;
    }
    const bool closes = inside.ends_with('/');
    const std::string name(inside.substr(0, inside.find_first_of(" /\n")));
    names_.push_back(name);
    if (name != "meta" && !closes) open_.push_back(name);
  }

  std::string_view page_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  std::vector<std::string> names_;
  std::string words_;
  std::string problem_;
};

}  // namespace distill::testing
