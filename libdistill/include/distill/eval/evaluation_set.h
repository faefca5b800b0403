#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/log.h>
#include <distill/data/row_reading.h>
#include <distill/eval/log_likelihood.h>
#include <distill/eval/set_result.h>

namespace distill::eval {

enum class SetTask { kPerplexity, kChoice, kBias };
constexpr std::array<std::string_view, 3> choice_names(SetTask) {
  return {"perplexity", "choice", "bias"};
}

/// What is measured, and on which rows.
struct SetSource {
  SetTask task = SetTask::kPerplexity;
  std::vector<std::string> paths;  ///< files, folders or patterns (data::expand_data_path)
  std::int64_t max_rows = 0;       ///< the first so many; 0: all. Of a text: pieces of it
};

/// What the kind of a set will be: that of the task, and for bias what its first row is, a pair of
/// sentences or a question. Throws InputError and FormatError naming the file.
SetKind kind_of(const SetSource& source);

/// Rows read and tokenized once, to be measured with any model that has the tokenizer. Cheap to
/// copy; the tokenizer need not outlive it.
class EvaluationSet {
 public:
  struct Reading {
    data::RowReading rows;             ///< tokenizer, template and where tokens are cached
    std::int64_t max_positions = 0;    ///< of the models
    std::int64_t sequence_length = 0;  ///< of texts for perplexity: longer ones are cut into pieces
    std::string chat_template = "auto";
    std::string cache = "auto";  ///< of tokens, as data::DataOptions has it
  };
  /// Throws InputError for a set without rows, FormatError naming FILE:LINE for a row that is not
  /// of the task's form or does not fit the models' positions: none is skipped.
  static EvaluationSet load(const SetSource& source, const Reading& reading, core::Logger& log);

  SetKind kind() const;
  std::int64_t num_rows() const;
  /// Of ids and answers: what a result depends on beside the model.
  const std::string& fingerprint() const;

  /// Collective. Throws InputError for an id outside the model's vocabulary, Stopped.
  SetResult measure(models::CausalLm& model, dist::Communicator& ranks,
                    const ScoreOptions& options) const;

 private:
  struct Data;
  explicit EvaluationSet(std::shared_ptr<const Data> data);
  std::shared_ptr<const Data> data_;
};

}  // namespace distill::eval
