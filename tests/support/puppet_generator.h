#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <distill/core/error.h>
#include <distill/generation/text_generator.h>

namespace distill::testing {

/// Answers what it is told to, and remembers what it was asked.
class PuppetGenerator : public generation::TextGenerator {
 public:
  using Answer = std::function<std::optional<std::string>(const std::string& prompt)>;
  explicit PuppetGenerator(Answer answer) : answer_(std::move(answer)) {}

  std::vector<std::optional<generation::TextAnswer>> converse(
      const std::vector<generation::Conversation>& chats, std::uint64_t seed) override {
    conversations = chats;
    stop_if_asked();
    if (std::ssize(seeds) >= breaks_at) throw TeacherError("broken");
    seeds.push_back(seed);
    std::vector<std::optional<generation::TextAnswer>> answers;
    for (const auto& chat : chats) {
      const std::string& prompt = chat.back().content;
      asked.push_back(prompt);
      const auto text = answer_(prompt);
      if (!text) {
        answers.emplace_back();
        continue;
      }
      const auto begin = std::min(text->find_first_not_of(' '), text->size());
      answers.push_back(generation::TextAnswer{text->substr(begin), cuts_off || ends_otherwise});
      answers.back()->as_written = *text;
      answers.back()->ended_otherwise = ends_otherwise;
      if (says_tokens) answers.back()->num_tokens = std::ranges::count(*text, ' ') + 1;
    }
    return answers;
  }
  bool continues() const override { return goes_on; }
  bool draws() const override { return has_temperature; }
  std::string name() const override { return address.empty() ? "puppet" : "puppet at " + address; }
  std::string asked_model() const override { return "puppet"; }
  std::string hash() const override { return "0123"; }
  std::vector<std::pair<std::string, std::string>> settings() const override {
    return {{"mood", mood}};
  }

  std::vector<generation::Conversation> conversations;  ///< of the last call
  std::vector<std::string> asked;
  std::vector<std::uint64_t> seeds;
  std::int64_t breaks_at = 1'000'000;  ///< calls that are answered
  bool cuts_off = false;
  bool ends_otherwise = false;
  bool goes_on = false;  ///< prompts are texts to continue
  bool has_temperature = true;
  bool says_tokens = true;  ///< as many as words
  std::string mood = "good";
  std::string address;  ///< empty: here

 private:
  Answer answer_;
};

}  // namespace distill::testing
