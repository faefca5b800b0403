#include <distill/eval/evaluation_set.h>

#include <chrono>
#include <variant>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/strings.h>
#include <distill/data/dataset.h>
#include <distill/eval/bias.h>
#include <distill/eval/choice.h>
#include <distill/eval/row_perplexity.h>

namespace distill::eval {

using Questions = std::vector<Question>;
using Pairs = std::vector<SentencePair>;
using Texts = std::shared_ptr<const data::Dataset>;

struct EvaluationSet::Data {
  SetKind kind = SetKind::kPerplexity;
  std::variant<Texts, Questions, Pairs> rows;
  std::int64_t vocabulary = 0;  ///< ids of the tokenizer
  std::string fingerprint;
};

namespace {

void add_text(core::Hasher& hasher, const ScoredText& text) {
  std::string ids = core::concat(text.first, ":");
  for (const std::int64_t id : text.ids) ids += core::concat(id, " ");
  hasher.add(ids + "\n");
}

std::string fingerprint_of(const Questions& questions) {
  core::Hasher hasher;
  for (const Question& question : questions) {
    hasher.add(core::concat("question ", question.label, " ", question.category, "\n"));
    if (question.bias) {
      hasher.add(core::concat(question.bias->ambiguous, question.bias->negative, " "));
      for (const auto role : question.bias->roles) hasher.add(core::concat(static_cast<int>(role)));
    }
    for (std::size_t i = 0; i < question.choices.size(); ++i) {
      hasher.add(core::concat(question.bytes[i], " "));
      add_text(hasher, question.choices[i]);
    }
  }
  return hasher.hex();
}

std::string fingerprint_of(const Pairs& pairs) {
  core::Hasher hasher;
  for (const SentencePair& pair : pairs) {
    hasher.add("pair " + pair.category + "\n");
    for (const ScoredText& text : pair.sentences) add_text(hasher, text);
  }
  return hasher.hex();
}

Texts load_texts(const SetSource& source, const EvaluationSet::Reading& reading,
                 core::Logger& log) {
  data::DataOptions options;
  options.sequence_length = reading.sequence_length;
  options.chat_template = reading.chat_template;
  options.cache = reading.cache;
  options.packing = false;  // a row of results is a piece of text
  options.min_packing_use = 0;
  std::vector<data::DataFile> files;
  for (const std::string& path : source.paths) files.push_back({path, 1.0});
  auto texts = data::Dataset::load(files, options, reading.rows, log);
  return source.max_rows > 0 ? texts->first_rows(source.max_rows) : texts;
}

}  // namespace

SetKind kind_of(const SetSource& source) {
  if (source.task == SetTask::kPerplexity) return SetKind::kPerplexity;
  if (source.task == SetTask::kChoice) return SetKind::kChoice;
  return data::holds_questions({source.paths}) ? SetKind::kQuestions : SetKind::kPairs;
}

EvaluationSet::EvaluationSet(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

EvaluationSet EvaluationSet::load(const SetSource& source, const Reading& reading,
                                  core::Logger& log) {
  Data data;
  data.kind = kind_of(source);
  data.vocabulary = reading.rows.tokenizer.vocab_size();
  if (data.kind == SetKind::kPerplexity) {
    const Texts texts = load_texts(source, reading, log);
    data.fingerprint = texts->fingerprint();
    data.rows = texts;
    return EvaluationSet(std::make_shared<const Data>(std::move(data)));
  }
  const ScoredTexts texts(reading.rows.tokenizer, reading.max_positions);
  const data::RowSource rows{source.paths, source.max_rows, reading.rows.between_rows};
  if (data.kind == SetKind::kPairs) {
    Pairs pairs;
    for (const auto& row : data::read_pairs(rows)) pairs.push_back(make_sentence_pair(row, texts));
    data.fingerprint = fingerprint_of(pairs);
    data.rows = std::move(pairs);
  } else {
    Questions questions;
    for (const auto& row : data::read_questions(rows, data.kind == SetKind::kQuestions)) {
      questions.push_back(make_question(row, texts));
    }
    data.fingerprint = fingerprint_of(questions);
    data.rows = std::move(questions);
  }
  return EvaluationSet(std::make_shared<const Data>(std::move(data)));
}

SetKind EvaluationSet::kind() const {
  return data_->kind;
}

std::int64_t EvaluationSet::num_rows() const {
  if (const auto* texts = std::get_if<Texts>(&data_->rows)) return (*texts)->num_rows();
  if (const auto* pairs = std::get_if<Pairs>(&data_->rows)) return std::ssize(*pairs);
  return std::ssize(std::get<Questions>(data_->rows));
}

const std::string& EvaluationSet::fingerprint() const {
  return data_->fingerprint;
}

SetResult EvaluationSet::measure(models::CausalLm& model, dist::Communicator& ranks,
                                 const ScoreOptions& options) const {
  const auto begin = std::chrono::steady_clock::now();
  SetResult result;
  if (const auto* texts = std::get_if<Texts>(&data_->rows)) {
    result = measure_perplexity(model, **texts, ranks, options);
  } else if (const auto* pairs = std::get_if<Pairs>(&data_->rows)) {
    result = measure_pairs(model, *pairs, data_->vocabulary, ranks, options);
  } else {
    const auto& questions = std::get<Questions>(data_->rows);
    const auto answers = choose(model, questions, data_->vocabulary, ranks, options);
    result = data_->kind == SetKind::kChoice ? choice_result(questions, answers)
                                             : questions_result(questions, answers);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::array<double, 1> seconds = {took.count()};
  ranks.all_reduce_sum(std::span<double>(seconds));
  result.seconds = seconds[0];
  return result;
}

}  // namespace distill::eval
