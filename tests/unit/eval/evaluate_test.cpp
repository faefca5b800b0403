#include <distill/eval/evaluate.h>
#include <distill/models/logits.h>

#include <cmath>
#include <thread>

#include <gtest/gtest.h>

#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

#include "support/byte_chat.h"
#include "support/byte_tokenizer.h"
#include "support/fake_ranks.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/tensor_values.h"
#include "support/toy_model.h"

namespace distill::eval {
namespace {

using testing::FakeRanks;
using testing::ToyModel;

/// A teacher in this process; gives logits instead of hidden states on request.
class ToyTeacher : public teachers::Teacher {
 public:
  enum class Gives { kHidden, kLogits, kTopK, kSamples, kOtherRows, kNothing };
  explicit ToyTeacher(const ToyModel::Options& options, Gives gives = Gives::kHidden)
      : model_(options), gives_(gives) {}
  types::TeacherSignal signal(const types::Batch& batch) override {
    const auto output = model_.forward(batch.input);
    if (gives_ == Gives::kNothing) return std::monostate{};
    if (gives_ == Gives::kOtherRows) {
      return types::DenseHidden{output.hidden.narrow(0, 0, 1), output.head, output.transform};
    }
    if (gives_ == Gives::kTopK || gives_ == Gives::kSamples) return sparse(output);
    if (gives_ == Gives::kLogits) return types::DenseLogits{models::logits(output, output.hidden)};
    return types::DenseHidden{output.hidden, output.head, output.transform};
  }
  std::string describe() const override { return "toy"; }

 private:
  types::TeacherSignal sparse(const types::ModelOutput& output) const {
    const at::Tensor all =
        at::log_softmax(models::logits(output, output.hidden).to(at::kDouble).detach(), 1);
    if (gives_ == Gives::kTopK) {
      const at::Tensor ids = std::get<0>(at::sort(std::get<1>(at::topk(all, 20, 1)), 1));
      return types::TopKLogProbs{ids, at::gather(all, 1, ids), all.size(1)};
    }
    const at::Tensor ids = at::zeros({all.size(0), 1}, at::kLong);
    return types::SampledLogProbs{ids, at::ones({all.size(0), 1}, at::kDouble),
                                  at::gather(all, 1, ids), all.size(1)};
  }

  ToyModel model_;
  Gives gives_;
};

std::shared_ptr<const data::Dataset> mixed_rows(int documents) {
  const testing::TempFolder folder;
  const testing::ByteChat chat;
  core::RandomState random(8);
  std::vector<std::string> lines;
  for (int i = 0; i < documents; ++i) {
    std::string text;
    const auto size = 3 + random.below(40);
    for (std::uint64_t c = 0; c < size; ++c) text += static_cast<char>('a' + random.below(26));
    lines.push_back(i % 3 == 0 ? R"({"messages": [{"role": "user", "content": ")" + text +
                                     R"("}, {"role": "assistant", "content": "yes"}]})"
                               : R"({"text": ")" + text + "\"}");
  }
  data::DataOptions options;
  options.sequence_length = 48;
  testing::RecordingLogger log;
  return data::Dataset::load({{testing::write_lines(folder / "d.jsonl", lines), 1.0}}, options,
                             testing::ByteTokenizer(), &chat, log);
}

/// All logits of one row in double, without models::logits.
std::vector<std::vector<double>> full_logits(ToyModel& model, const types::ModelInput& input) {
  const auto output = model.forward(input);
  const auto flat =
      at::matmul(output.hidden.to(at::kDouble), output.head.to(at::kDouble).t()).detach();
  std::vector<std::vector<double>> rows;
  for (std::int64_t i = 0; i < flat.size(0); ++i) {
    auto row = testing::values<double>(flat.select(0, i));
    for (double& z : row) {
      z *= output.transform.scale;
      const double cap = output.transform.softcap;
      if (cap > 0) z = cap * std::tanh(z / cap);
    }
    rows.push_back(row);
  }
  return rows;
}

double log_sum_exp(const std::vector<double>& row, std::size_t size) {
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += std::exp(row[i]);
  return std::log(sum);
}

std::size_t best(const std::vector<double>& row, std::size_t size) {
  return static_cast<std::size_t>(
      std::max_element(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(size)) - row.begin());
}

struct Naive {
  double nll = 0, teacher_nll = 0, kl = 0, agreed = 0;
  std::int64_t tokens = 0;
};

/// Row by row, position by position, from the unshifted row: no make_batch, no mask.
Naive naive_evaluation(ToyModel& student, ToyModel& teacher, const data::Dataset& dataset) {
  Naive sums;
  const auto real = static_cast<std::size_t>(dataset.vocabulary());  // behind it there is padding
  for (std::int64_t r = 0; r < dataset.num_rows(); ++r) {
    const data::Row row = dataset.row(r);
    for (std::size_t s = 0; s + 1 < row.segments.size(); ++s) {
      const std::vector<std::int64_t> ids(row.ids.begin() + row.segments[s],
                                          row.ids.begin() + row.segments[s + 1]);
      const auto zs = full_logits(student, types::pack({ids}));
      const auto zt = full_logits(teacher, types::pack({ids}));
      const std::size_t shared = std::min({zs[0].size(), zt[0].size(), real});
      for (std::size_t i = 1; i < ids.size(); ++i) {
        if (!row.is_target[static_cast<std::size_t>(row.segments[s]) + i]) continue;
        const auto& p = zs[i - 1];
        const auto& q = zt[i - 1];
        const auto label = static_cast<std::size_t>(ids[i]);
        sums.nll += log_sum_exp(p, std::min(p.size(), real)) - p[label];
        sums.teacher_nll += log_sum_exp(q, std::min(q.size(), real)) - q[label];
        const double lp = log_sum_exp(p, shared);
        const double lq = log_sum_exp(q, shared);
        for (std::size_t v = 0; v < shared; ++v)
          sums.kl += std::exp(q[v] - lq) * (q[v] - lq - p[v] + lp);
        sums.agreed += best(p, shared) == best(q, shared) ? 1 : 0;
        ++sums.tokens;
      }
    }
  }
  return sums;
}

Evaluation evaluate_alone(models::CausalLm& student, teachers::Teacher* teacher,
                          const data::Dataset& dataset, const EvaluateOptions& options = {}) {
  Evaluation result;
  FakeRanks(1).run([&](dist::Communicator& ranks) {
    result = evaluate(student, teacher, dataset, ranks, options);
  });
  return result;
}

/// The error `evaluate` throws (threads must not let it out).
std::string evaluate_error(models::CausalLm& student, teachers::Teacher* teacher,
                           const data::Dataset& dataset, const EvaluateOptions& options = {}) {
  std::string message;
  FakeRanks(1).run([&](dist::Communicator& ranks) {
    message =
        testing::message_of<Error>([&] { evaluate(student, teacher, dataset, ranks, options); });
  });
  return message;
}

struct Case {
  const char* name;
  ToyModel::Options student;
  ToyModel::Options teacher;
  double tolerance;
};

void PrintTo(const Case& values, std::ostream* out) {
  *out << values.name;
}

class EvaluateAgainstNaive : public ::testing::TestWithParam<Case> {};

TEST_P(EvaluateAgainstNaive, GivesTheSameNumbers) {
  const auto& [name, student_options, teacher_options, tolerance] = GetParam();
  const auto dataset = mixed_rows(12);
  ToyModel student(student_options);
  ToyModel teacher(teacher_options);
  const Naive naive = naive_evaluation(student, teacher, *dataset);
  const auto n = static_cast<double>(naive.tokens);
  ASSERT_EQ(naive.tokens, dataset->num_targets());
  for (const auto gives : {ToyTeacher::Gives::kHidden, ToyTeacher::Gives::kLogits}) {
    ToyTeacher signal(teacher_options, gives);
    const Evaluation result = evaluate_alone(student, &signal, *dataset, {.rows_per_batch = 3});
    EXPECT_EQ(result.tokens, naive.tokens);
    EXPECT_NEAR(result.perplexity / std::exp(naive.nll / n), 1, tolerance);
    EXPECT_NEAR(result.teacher_perplexity.value() / std::exp(naive.teacher_nll / n), 1, tolerance);
    EXPECT_NEAR(result.kl_to_teacher.value() / (naive.kl / n), 1, tolerance);
    EXPECT_DOUBLE_EQ(result.top1_agreement.value(), naive.agreed / n);
    EXPECT_GT(result.student_seconds, 0);
    EXPECT_GT(result.teacher_seconds, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, EvaluateAgainstNaive,
    ::testing::Values(Case{"Double",
                           {.seed = 1, .dtype = at::kDouble, .scale = 2},
                           {.seed = 2, .dtype = at::kDouble, .scale = 2},
                           1e-11},
                      Case{"Single", {.seed = 1, .scale = 2}, {.seed = 2, .scale = 2}, 1e-5},
                      Case{"HalfTeacher",
                           {.seed = 1, .scale = 2},
                           {.seed = 2, .dtype = at::kBFloat16, .scale = 2},
                           1e-5},
                      Case{"PaddedTeacher",
                           {.seed = 1, .dtype = at::kDouble},
                           {.vocab_size = 300, .seed = 2, .dtype = at::kDouble},
                           1e-11},
                      Case{"PaddedStudent",
                           {.vocab_size = 300, .seed = 1, .dtype = at::kDouble},
                           {.seed = 2, .dtype = at::kDouble},
                           1e-11},
                      Case{"Transforms",
                           {.seed = 1, .dtype = at::kDouble, .scale = 2, .transform = {0.5, 3.0}},
                           {.hidden_size = 5,
                            .seed = 2,
                            .dtype = at::kDouble,
                            .scale = 3,
                            .transform = {2.0, 0.0}},
                           1e-11}),
    [](const auto& test) { return test.param.name; });

TEST(Evaluate, TheSameModelIsNoDistanceAway) {
  const auto dataset = mixed_rows(12);
  ToyModel student;
  ToyTeacher teacher({});
  const Evaluation result = evaluate_alone(student, &teacher, *dataset);
  EXPECT_EQ(result.kl_to_teacher, 0.0);
  EXPECT_EQ(result.top1_agreement, 1.0);
  EXPECT_EQ(result.perplexity, result.teacher_perplexity);
}

TEST(Evaluate, WithoutATeacherThereIsOnlyPerplexity) {
  const auto dataset = mixed_rows(12);
  ToyModel student;
  const Evaluation result = evaluate_alone(student, nullptr, *dataset);
  EXPECT_FALSE(result.teacher_perplexity || result.kl_to_teacher || result.top1_agreement);
  EXPECT_GT(result.perplexity, 1);
  EXPECT_EQ(result.teacher_seconds, 0);
}

TEST(Evaluate, ATeachersTopIdsGiveALowerBoundAndTheSameAgreement) {
  const auto dataset = mixed_rows(12);
  const ToyModel::Options other{.seed = 2, .dtype = at::kDouble, .scale = 2};
  ToyModel student(ToyModel::Options{.seed = 1, .dtype = at::kDouble, .scale = 2});
  ToyTeacher whole(other);
  ToyTeacher top(other, ToyTeacher::Gives::kTopK);
  const Evaluation expected = evaluate_alone(student, &whole, *dataset);
  const Evaluation result = evaluate_alone(student, &top, *dataset);
  EXPECT_FALSE(result.kl_to_teacher || result.teacher_perplexity || expected.top_k_kl_to_teacher);
  EXPECT_LT(result.top_k_kl_to_teacher.value(), *expected.kl_to_teacher);
  EXPECT_GT(*result.top_k_kl_to_teacher, 0.3 * *expected.kl_to_teacher);
  EXPECT_EQ(result.top1_agreement, expected.top1_agreement);
  // Ranks agree on which figures there are, also those with nothing to do.
  FakeRanks(9).run([&](dist::Communicator& ranks) {
    ToyModel own_student(ToyModel::Options{.seed = 1, .dtype = at::kDouble, .scale = 2});
    ToyTeacher own(other, ToyTeacher::Gives::kTopK);
    const auto together = evaluate(own_student, &own, *dataset, ranks, {.rows_per_batch = 2});
    EXPECT_NEAR(together.top_k_kl_to_teacher.value(), *result.top_k_kl_to_teacher, 1e-12);
  });
}

TEST(Evaluate, ATeacherOfSamplesIsNotComparedWith) {
  const auto dataset = mixed_rows(6);
  ToyModel student;
  ToyTeacher teacher({}, ToyTeacher::Gives::kSamples);
  const Evaluation result = evaluate_alone(student, &teacher, *dataset);
  EXPECT_FALSE(result.teacher_perplexity || result.kl_to_teacher || result.top_k_kl_to_teacher ||
               result.top1_agreement);
  EXPECT_EQ(result.perplexity, evaluate_alone(student, nullptr, *dataset).perplexity);
}

TEST(Evaluate, AUniformModelHasThePerplexityOfItsVocabulary) {
  const auto dataset = mixed_rows(6);
  ToyModel student(ToyModel::Options{.scale = 0});
  EXPECT_NEAR(evaluate_alone(student, nullptr, *dataset).perplexity, 260, 1e-3);
}

TEST(Evaluate, BatchSizeDoesNotMatter) {
  const auto dataset = mixed_rows(20);
  ToyModel student(ToyModel::Options{.seed = 1, .dtype = at::kDouble});
  ToyTeacher teacher({.seed = 2, .dtype = at::kDouble});
  const Evaluation one = evaluate_alone(student, &teacher, *dataset, {.rows_per_batch = 1});
  for (const std::int64_t rows : {2, 7, 1000}) {
    const Evaluation other = evaluate_alone(student, &teacher, *dataset, {.rows_per_batch = rows});
    EXPECT_NEAR(other.perplexity, one.perplexity, 1e-9);
    EXPECT_NEAR(*other.kl_to_teacher, *one.kl_to_teacher, 1e-12);
    EXPECT_EQ(other.tokens, one.tokens);
  }
}

TEST(Evaluate, RanksTogetherGiveWhatOneGives) {
  const auto dataset = mixed_rows(14);
  ASSERT_LT(dataset->num_rows(), 2 * 8);
  ToyTeacher alone_teacher({.seed = 2, .dtype = at::kDouble});
  ToyModel alone_student(ToyModel::Options{.seed = 1, .dtype = at::kDouble});
  const Evaluation alone =
      evaluate_alone(alone_student, &alone_teacher, *dataset, {.rows_per_batch = 2});
  // With 9 ranks some have nothing to do.
  for (const std::int64_t size : {2, 3, 9}) {
    std::vector<Evaluation> results(static_cast<std::size_t>(size));
    FakeRanks(size).run([&](dist::Communicator& ranks) {
      ToyModel student(ToyModel::Options{.seed = 1, .dtype = at::kDouble});
      ToyTeacher teacher({.seed = 2, .dtype = at::kDouble});
      results[static_cast<std::size_t>(ranks.rank())] =
          evaluate(student, &teacher, *dataset, ranks, {.rows_per_batch = 2});
    });
    for (const Evaluation& result : results) {
      EXPECT_NEAR(result.perplexity, alone.perplexity, 1e-9);
      EXPECT_NEAR(*result.teacher_perplexity, *alone.teacher_perplexity, 1e-9);
      EXPECT_NEAR(*result.kl_to_teacher, *alone.kl_to_teacher, 1e-12);
      EXPECT_EQ(*result.top1_agreement, *alone.top1_agreement);
      EXPECT_EQ(result.tokens, alone.tokens);
    }
  }
}

TEST(Evaluate, RecordsNoGraphAndChangesNothing) {
  const auto dataset = mixed_rows(6);
  class Watching : public ToyModel {
   public:
    types::ModelOutput forward(const types::ModelInput& input) override {
      auto output = ToyModel::forward(input);
      recorded = recorded || output.hidden.requires_grad();
      return output;
    }
    bool recorded = false;
  } student;
  const at::Tensor before = student.parameters()[0].tensor.detach().clone();
  evaluate_alone(student, nullptr, *dataset);
  EXPECT_FALSE(student.recorded);
  EXPECT_TRUE(student.parameters()[0].tensor.equal(before));
  EXPECT_FALSE(student.parameters()[0].tensor.grad().defined());
}

TEST(Evaluate, ReportsProgressAfterEveryBatch) {
  const auto dataset = mixed_rows(20);
  ToyModel student;
  const std::int64_t rows = dataset->num_rows();
  ASSERT_GT(rows, 4);
  std::vector<std::int64_t> seen;
  evaluate_alone(student, nullptr, *dataset,
                 {.rows_per_batch = 3, .on_progress = [&](std::int64_t done, std::int64_t total) {
                    EXPECT_EQ(total, rows);
                    seen.push_back(done);
                  }});
  std::vector<std::int64_t> expected;
  for (std::int64_t done = 3; done < rows; done += 3) expected.push_back(done);
  expected.push_back(rows);
  EXPECT_EQ(seen, expected);
}

TEST(Evaluate, StopsOnAllRanksWhenAskedOnOne) {
  const auto dataset = mixed_rows(30);
  std::vector<std::string> messages(2);
  core::StopFlag never;
  core::StopFlag asked;
  FakeRanks(2).run([&](dist::Communicator& ranks) {
    ToyModel student;
    EvaluateOptions options{.rows_per_batch = 1};
    options.stop = ranks.is_main() ? &never : &asked;
    options.on_progress = [&](std::int64_t done, std::int64_t) {
      if (!ranks.is_main() && done == 4) asked.request(15);
    };
    messages[static_cast<std::size_t>(ranks.rank())] =
        testing::message_of<Stopped>([&] { evaluate(student, nullptr, *dataset, ranks, options); });
  });
  const std::string expected =
      core::concat("the evaluation was stopped after 4 of ", dataset->num_rows(), " rows");
  EXPECT_EQ(messages, (std::vector<std::string>{expected, expected}));
}

TEST(Evaluate, RefusesWhatCannotBeMeasured) {
  const auto dataset = mixed_rows(6);
  ToyModel student;
  EXPECT_EQ(evaluate_error(student, nullptr, *dataset->first_rows(0)),
            "the evaluation data holds no token to predict");
  EXPECT_EQ(evaluate_error(student, nullptr, *dataset, {.rows_per_batch = 0}),
            "rows per batch must be positive, they are 0");
  ToyModel small(ToyModel::Options{.vocab_size = 200});
  EXPECT_EQ(evaluate_error(small, nullptr, *dataset),
            "the data holds token id 259, the student has 200 ids; tokenize with the tokenizer of "
            "the model");
  ToyTeacher silent({}, ToyTeacher::Gives::kNothing);
  EXPECT_EQ(evaluate_error(student, &silent, *dataset),
            "teacher `toy` gives nothing to evaluate against");
  ToyTeacher short_answer({}, ToyTeacher::Gives::kOtherRows);
  const std::string message = evaluate_error(student, &short_answer, *dataset->first_rows(1));
  EXPECT_EQ(message,
            core::concat("teacher `toy` answered for 1 positions of ", dataset->row(0).ids.size()));
}

}  // namespace
}  // namespace distill::eval
