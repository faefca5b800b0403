#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <c10/core/ScalarType.h>

#include <distill/generation/text_generator.h>

namespace distill::generation {

/// Says how likely an answer is.
class AnswerJudge {
 public:
  virtual ~AnswerJudge() = default;
  /// Mean log-probability of the answer's tokens, with those that end it; -inf for more than the
  /// model can read.
  virtual double mean_log_prob(const Conversation& chat, const std::string& answer) = 0;
  virtual std::string name() const = 0;  ///< for provenance
  virtual std::string hash() const = 0;  ///< of what decides what it says
};

struct LocalJudgeOptions {
  std::filesystem::path model;
  std::string chat_template = "auto";  ///< none: prompt and answer are one text
  c10::ScalarType dtype = c10::ScalarType::BFloat16;
};

/// Throws as loading a model and a tokenizer does.
std::unique_ptr<AnswerJudge> make_local_judge(const LocalJudgeOptions& options);

}  // namespace distill::generation
