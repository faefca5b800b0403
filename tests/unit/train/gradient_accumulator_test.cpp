#include "train/gradient_accumulator.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "support/thread_communicator.h"

namespace distill::train {
namespace {

TEST(GradientAccumulator, WhatNoRankUsedHasNoGradient) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    testing::ThreadGroup group(2);
    group.run([&](dist::Communicator& rank) {
      std::vector<models::NamedParameter> parameters;
      for (const char* name : {"by both", "by the second", "by none"}) {
        parameters.push_back({name, at::zeros({3}, type)});
      }
      const auto use = [&](std::size_t i, double value) {
        parameters[i].tensor.mutable_grad() = at::full({3}, value, at::TensorOptions(type));
      };
      GradientAccumulator accumulator(parameters, /*single_pass=*/false);
      use(0, 1.0 + static_cast<double>(rank.rank()));
      if (rank.rank() == 1) use(1, 5.0);
      accumulator.collect();
      accumulator.all_reduce(rank);
      const auto gradients = accumulator.gradients();
      EXPECT_TRUE(at::equal(gradients[0].to(at::kFloat), at::full({3}, 3.0)));
      EXPECT_TRUE(at::equal(gradients[1].to(at::kFloat), at::full({3}, 5.0)));
      EXPECT_FALSE(gradients[2].defined());
    });
  }
}

}  // namespace
}  // namespace distill::train
