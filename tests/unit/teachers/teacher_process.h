#pragma once

#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ops/ones.h>
#include <ATen/ops/roll.h>

#include <distill/core/interrupted.h>
#include <distill/teachers/local_teacher.h>
#include <distill/teachers/process_teacher.h>
#include <distill/teachers/teacher_service.h>

#include "support/channel_pair.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

/// A teacher's process, as a thread of a test.
namespace distill::teachers::in_process {

using testing::message_of;
using testing::scratch_name;
using testing::ToyModel;
using testing::Transport;
using namespace std::chrono_literals;

inline constexpr std::int64_t kIds = 40;

inline std::shared_ptr<ToyModel> toy(at::ScalarType dtype = at::kFloat) {
  return std::make_shared<ToyModel>(ToyModel::Options{
      .vocab_size = kIds, .dtype = dtype, .scale = 3, .transform = {.scale = 0.7, .softcap = 20}});
}

inline types::Batch batch_of(const std::vector<std::vector<std::int64_t>>& sequences) {
  types::Batch batch;
  batch.input = types::pack(sequences);
  batch.loss_mask = at::ones({batch.input.input_ids.numel()}, at::kBool);
  batch.labels = at::roll(batch.input.input_ids, {-1}, {0});
  for (std::size_t s = 1; s < batch.input.segments.size(); ++s) {
    batch.loss_mask[batch.input.segments[s] - 1] = false;
  }
  batch.loss_mask[0] = false;
  return batch;
}

inline types::Batch batch_number(std::int64_t i) {
  return batch_of({{i % kIds, 1, 2, (i * 7) % kIds, 5}, {9, 8, i % 11}, {30, 31, 32, i % 5}});
}

/// A teacher that counts, and waits before each answer.
class SlowTeacher final : public Teacher {
 public:
  explicit SlowTeacher(std::unique_ptr<Teacher> teacher) : teacher_(std::move(teacher)) {}
  types::TeacherSignal signal(const types::Batch& batch) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms.load()));
    if (++asked > spoil_after) {
      auto dense = std::get<types::DenseHidden>(teacher_->signal(batch));
      dense.hidden = dense.hidden.clone();
      dense.hidden.select(0, 1).fill_(std::numeric_limits<float>::quiet_NaN());
      return dense;
    }
    if (asked > fail_after) fail<Error>("out\nof memory");
    return teacher_->signal(batch);
  }
  std::string describe() const override { return teacher_->describe(); }

  std::atomic<int> delay_ms{0};
  std::atomic<int> asked{0};
  std::atomic<int> spoil_after{1 << 30};
  std::atomic<int> fail_after{1 << 30};

 private:
  std::unique_ptr<Teacher> teacher_;
};

/// A teacher's process as a thread.
class ServedTeacher {
 public:
  explicit ServedTeacher(Transport transport, at::ScalarType dtype = at::kFloat, bool stay = false,
                         bool still_loading = false)
      : loading(still_loading),
        teacher(make_local_teacher(toy(dtype), "toy")),
        name_(scratch_name()) {
    const dist::Pulse pulse{.beat_seconds = 0.05};
    listener_ = dist::accept_in_background(transport == Transport::kShared
                                               ? dist::listen_shared(name_, pulse)
                                               : dist::listen_c10d("127.0.0.1:0", pulse));
    where_ = listener_->describe();
    ServiceOptions options;
    options.facts.model = "toy";
    options.facts.weights = std::string(32, 'a');
    options.facts.tokenizer = std::string(32, 'b');
    options.facts.max_positions = 100;
    options.stay = stay;
    thread_ = std::thread([this, options] {
      while (loading) std::this_thread::sleep_for(10ms);
      counts = serve_teacher(teacher, *listener_, options, log, &stop);
      listener_.reset();
    });
  }
  ~ServedTeacher() { end(); }
  void end() {
    stop.request(1);
    join();
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  const std::string& name() const { return name_; }
  std::unique_ptr<dist::Channel> connect() const {
    return where_.starts_with("shared") ? dist::connect_shared(name_, {.timeout_seconds = 10})
                                        : dist::connect_c10d(where_, {.timeout_seconds = 10});
  }
  std::unique_ptr<ProcessTeacher> student(double timeout = 20,
                                          const core::StopFlag* flag = nullptr) const {
    return std::make_unique<ProcessTeacher>(
        connect(), ProcessTeacherOptions{.where = where_, .timeout_seconds = timeout}, flag);
  }

  std::atomic<bool> loading;  ///< serves nobody until then
  SlowTeacher teacher;
  testing::RecordingLogger log;
  core::StopFlag stop;
  ServiceCounts counts;

 private:
  std::string name_;
  std::string where_;
  std::unique_ptr<dist::Listener> listener_;
  std::thread thread_;
};

inline types::DenseHidden dense(const types::TeacherSignal& signal) {
  return std::get<types::DenseHidden>(signal);
}

/// Of both transports.
class TeacherProcessTest : public ::testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    if (GetParam() == Transport::kC10d && !dist::has_c10d()) {
      GTEST_SKIP() << "built without gloo's headers";
    }
  }
};

inline std::string name_of(const ::testing::TestParamInfo<Transport>& one) {
  return one.param == Transport::kShared ? "Shared" : "C10d";
}

}  // namespace distill::teachers::in_process
