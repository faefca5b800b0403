#include "eval/parted_rows.h"

#include <gtest/gtest.h>

#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include <distill/core/error.h>

#include "support/op_check.h"
#include "support/temp_folder.h"

namespace distill::eval {
namespace {

using testing::message_of;
using testing::normal;

at::Tensor rows_of(const std::vector<std::int64_t>& rows) {
  return at::tensor(rows, at::kLong);
}

types::DenseLogits logits(std::int64_t rows, std::int64_t ids, std::uint64_t seed) {
  return {normal({rows, ids}, seed) * 3};
}

TEST(PartedRows, WhoSharesOutThePositionsGivesTheirOwnLogits) {
  const auto a = logits(2, 7, 1), b = logits(3, 9, 2);
  types::PartedSignal signal;
  signal.parts.push_back({rows_of({1, 3}), 1.0, a});
  signal.parts.push_back({rows_of({0, 2, 4}), 1.0, b});
  const PartedRows parted(signal, 5, 0);
  EXPECT_EQ(parted.num_rows(), 5);
  EXPECT_EQ(parted.vocab_size(), 7) << "the smallest of both";
  const at::Tensor seen = parted.select(rows_of({3, 0, 1, 4}));
  const at::Tensor expected =
      at::cat({a.logits.narrow(0, 1, 1), b.logits.narrow(0, 0, 1).narrow(1, 0, 7),
               a.logits.narrow(0, 0, 1), b.logits.narrow(0, 2, 1).narrow(1, 0, 7)});
  EXPECT_TRUE(at::equal(seen, expected));
}

/// The mean of the distributions over the tokenizer's ids: padding has no part in it.
TEST(PartedRows, WhoSpeakOfAllGiveTheirMixture) {
  const auto a = logits(4, 9, 1), b = logits(4, 12, 2);
  types::PartedSignal signal;
  signal.parts.push_back({{}, 0.25, a});
  signal.parts.push_back({{}, 0.75, b});
  for (const std::int64_t vocabulary : {0, 6}) {
    const std::int64_t ids = vocabulary == 0 ? 9 : vocabulary;
    const PartedRows parted(signal, 4, vocabulary);
    EXPECT_EQ(parted.vocab_size(), ids);
    const at::Tensor rows = rows_of({2, 0});
    const auto share = [&](const types::DenseLogits& own) {
      return at::softmax(own.logits.index_select(0, rows).narrow(1, 0, ids), 1);
    };
    const at::Tensor expected = (share(a) * 0.25 + share(b) * 0.75).log();
    EXPECT_TRUE(at::allclose(parted.select(rows), expected, 1e-9, 1e-9)) << vocabulary;
  }
}

TEST(PartedRows, HiddenStatesGiveTheSameAsTheirLogits) {
  const at::Tensor hidden = normal({3, 4}, 1), head = normal({8, 4}, 2);
  types::PartedSignal of_hidden, of_logits;
  of_hidden.parts.push_back({{}, 1.0, types::DenseHidden{hidden, head, {}}});
  of_logits.parts.push_back({{}, 1.0, types::DenseLogits{at::mm(hidden, head.t())}});
  const at::Tensor rows = rows_of({0, 1, 2});
  EXPECT_TRUE(at::allclose(PartedRows(of_hidden, 3, 5).select(rows),
                           PartedRows(of_logits, 3, 5).select(rows), 1e-9, 1e-9));
}

TEST(PartedRows, RefusesWhatLeavesPositionsOut) {
  types::PartedSignal signal;
  EXPECT_THROW(PartedRows(signal, 3, 0), TeacherError);
  signal.parts.push_back({rows_of({0, 2}), 1.0, logits(2, 5, 1)});
  EXPECT_EQ(message_of<TeacherError>([&] { PartedRows(signal, 3, 0); }),
            "several teachers answered for 2 positions of 3");
  signal.parts.push_back({rows_of({1}), 1.0, logits(2, 5, 1)});
  EXPECT_EQ(message_of<TeacherError>([&] { PartedRows(signal, 3, 0); }),
            "one of several teachers answered for 2 positions of 1");
  signal.parts.back() = {rows_of({1}), 1.0, types::TopKLogProbs{}};
  EXPECT_EQ(message_of<TeacherError>([&] { PartedRows(signal, 3, 0); }),
            "one of several teachers gives no full distribution to evaluate against");
}

}  // namespace
}  // namespace distill::eval
