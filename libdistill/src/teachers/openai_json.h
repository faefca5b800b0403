#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <distill/teachers/openai_client.h>

#include "teachers/answer_json.h"

/// The texts that go to an OpenAI-compatible server and come from it.
namespace distill::teachers::detail {

std::string completion_json(const std::string& model, const CompletionRequest& request);
std::string chat_json(const std::string& model, const ChatRequest& request);

/// What an answer has to be.
struct Expected {
  std::string url;  ///< for messages
  std::string model;
  std::int64_t num_answers = 1;
  bool chat = false;
  bool log_probs = false;  ///< of the answer
  /// Of the prompt whose log-probabilities were asked for, with how many likeliest ids.
  const std::vector<std::int64_t>* prompt_ids = nullptr;
  std::int64_t num_log_probs = 0;
  bool token_texts = false;  ///< also how ids are spelt
  io::JsonLimits limits = kAnswerLimits;
};

/// Any text that is not what was expected is a BadAnswer.
Completion parse_completion(std::string_view text, const Expected& expected);

struct ServedModel {
  std::string name;
  std::optional<std::int64_t> max_tokens;  ///< of prompt and answer together, where it is said
};
std::vector<ServedModel> parse_models(std::string_view text, const std::string& url);

/// /tokenize of vLLM and SGLang.
std::string tokenize_json(const std::string& model, const std::string& text);
std::vector<std::int64_t> parse_tokens(std::string_view text, const std::string& url);

/// What a server says about an error, in whichever form; empty: nothing that could be read.
std::string parse_error_message(std::string_view text);

}  // namespace distill::teachers::detail
