#include "dist/c10d_meetings.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace distill::dist::detail {

namespace {

using namespace std::chrono_literals;

/// One of the two.
struct Outcome {
  std::unique_ptr<Channel> channel;
  std::exception_ptr error;
};

Outcome outcome_of(const Meetings::Meet& meet, const std::function<bool()>& ended) {
  try {
    return {meet(ended), nullptr};
  } catch (...) {
    return {nullptr, std::current_exception()};
  }
}

}  // namespace

struct Meetings::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Outcome> outcomes;
  std::size_t running = 0;
  bool ending = false;

  bool is_ending() {
    const std::lock_guard lock(mutex);
    return ending;
  }
  void run(Meet meet) {
    Outcome outcome = outcome_of(meet, [this] { return is_ending(); });
    {
      const std::lock_guard lock(mutex);
      if (!ending) outcomes.push_back(std::move(outcome));
    }
    // What nobody takes has ended when this one counts as done.
    outcome = {};
    meet = {};
    const std::lock_guard lock(mutex);
    --running;
    changed.notify_all();
  }
};

Meetings::Meetings() : state_(std::make_shared<State>()) {}

Meetings::~Meetings() {
  std::unique_lock lock(state_->mutex);
  state_->ending = true;
  state_->changed.wait_for(lock, 1s, [this] { return state_->running == 0; });
}

void Meetings::begin(Meet meet) {
  const std::lock_guard lock(state_->mutex);
  std::thread([state = state_, meet = std::move(meet)]() mutable {
    state->run(std::move(meet));
  }).detach();
  ++state_->running;
}

std::unique_ptr<Channel> Meetings::take() {
  Outcome outcome;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->outcomes.empty()) return nullptr;
    outcome = std::move(state_->outcomes.front());
    state_->outcomes.pop_front();
  }
  if (outcome.error) std::rethrow_exception(outcome.error);
  return std::move(outcome.channel);
}

std::size_t Meetings::count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->running;
}

}  // namespace distill::dist::detail
