#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/roll.h>

#include <distill/core/interrupted.h>
#include <distill/teachers/server_teacher.h>

#include "support/recording_logger.h"
#include "support/score_server.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::teachers {

using testing::HttpCall;
using testing::HttpReply;
using testing::HttpServer;
using testing::message_of;
using testing::reply;
using testing::ToyModel;
using namespace std::chrono_literals;

inline constexpr std::int64_t kIds = 40;
inline const std::vector<std::int64_t> kProbe = {1, 7, 3, 39, 0, 5};

inline std::shared_ptr<ToyModel> toy(std::uint64_t seed = 1) {
  return std::make_shared<ToyModel>(
      ToyModel::Options{.vocab_size = kIds, .seed = seed, .scale = 3});
}

/// Every prediction counts but that of the last token of a segment.
inline types::Batch batch_of(const std::vector<std::vector<std::int64_t>>& sequences) {
  types::Batch batch;
  batch.input = types::pack(sequences);
  batch.loss_mask = at::ones({batch.input.input_ids.numel()}, at::kBool);
  batch.labels = at::roll(batch.input.input_ids, {-1}, {0});
  for (std::size_t s = 1; s < batch.input.segments.size(); ++s) {
    batch.loss_mask[batch.input.segments[s] - 1] = false;
  }
  return batch;
}

inline const std::vector<std::vector<std::int64_t>> kTexts = {
    {1, 2, 3, 4, 5}, {9, 8, 7}, {30, 31, 32, 33}};

/// A teacher and the server that it asks, which gives the scores of a toy model.
class ServerTeacherTest : public ::testing::Test {
 protected:
  ServerTeacherOptions options(std::int64_t top_k = 8) {
    ServerTeacherOptions options;
    options.server = {.url = server_.url("/v1"), .model = "m", .timeout_seconds = 1};
    options.server.parallel = 3;
    options.server.retry = {.max_retries = 3, .first_wait = 0.01, .longest_wait = 0.02};
    options.top_k = top_k;
    options.vocabulary = kIds;
    options.probe = kProbe;
    return options;
  }
  ServerTeacher make(const ServerTeacherOptions& options) { return {options, log_, &stop_}; }
  static types::TopKLogProbs top_k(const types::TeacherSignal& signal) {
    return std::get<types::TopKLogProbs>(signal);
  }
  /// What all scores are when nothing goes wrong.
  types::TopKLogProbs straight(const types::Batch& batch) {
    auto teacher = make(options());
    return top_k(teacher.signal(batch));
  }
  /// From now on each call for scores is answered so.
  void behave(HttpServer::Handler handler) {
    const std::lock_guard lock(mutex_);
    handler_ = std::move(handler);
  }
  int num_asked() {
    int count = 0;
    for (const auto& call : server_.calls()) count += call.path != "/v1/models";
    return count;
  }

  testing::RecordingLogger log_;
  core::StopFlag stop_;
  testing::ScoreServer scores_{toy()};
  std::mutex mutex_;
  HttpServer::Handler handler_ = [this](const HttpCall& call) { return scores_(call); };
  HttpServer server_{[this](const HttpCall& call) {
    HttpServer::Handler handler;
    {
      const std::lock_guard lock(mutex_);
      handler = handler_;
    }
    return call.path == "/v1/models" ? scores_(call) : handler(call);
  }};
};

inline void expect_equal(const types::TopKLogProbs& a, const types::TopKLogProbs& b) {
  EXPECT_TRUE(at::equal(a.ids, b.ids));
  EXPECT_TRUE(at::equal(a.log_probs, b.log_probs));
}

}  // namespace distill::teachers
