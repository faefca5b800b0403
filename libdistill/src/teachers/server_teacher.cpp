#include <distill/teachers/server_teacher.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <mutex>
#include <utility>

#include <ATen/ops/cat.h>

#include <distill/core/interrupted.h>
#include <distill/core/strings.h>
#include <distill/teachers/announced.h>

#include "teachers/client_set.h"
#include "teachers/model_watch.h"
#include "teachers/own_token_rows.h"
#include "teachers/score_queue.h"
#include "teachers/top_k_rows.h"

namespace distill::teachers {

namespace {

constexpr std::int64_t kMostBadAnswers = 2;  ///< of one request

using detail::TopKRows;

void check(const ServerTeacherOptions& o) {
  if (o.vocabulary < 1 || o.top_k < 1 || o.top_k > o.vocabulary) {
    fail<InputError>("top_k must be 1 to the number of ids, ", o.vocabulary, ", it is ", o.top_k);
  }
  if (o.probe.size() < 2) fail<InputError>("the probe of a server needs two ids at least");
  if (!(o.check_seconds > 0) || !(o.max_drift > 0 && o.max_drift <= 1)) {
    fail<InputError>("check_seconds must be above 0 and max_drift in (0, 1], they are ",
                     o.check_seconds, " and ", o.max_drift);
  }
}

/// A segment of a batch: what its rows will be.
struct Segment {
  std::int64_t length = 0;
  std::shared_ptr<detail::ScoreQueue::Ticket> ticket;  ///< null: no row of it counts
};
using Segments = std::vector<Segment>;

}  // namespace

struct ServerTeacher::Impl {
  using Clock = std::chrono::steady_clock;

  Impl(const ServerTeacherOptions& o, core::Logger& log, const core::StopFlag* stop_flag)
      : options(o),
        stop(stop_flag),
        who(core::concat(o.server.url, ": teacher `", core::printable(o.server.model), "`")),
        clients(o.server, log, [this] { return cancelled(); }),
        watch({who, o.check_seconds, o.max_drift}, ask_probe()),
        queue(clients, [this](OpenAiClient& client, const std::vector<std::int64_t>& ids) {
          return ask(client, ids);
        }) {}
  ~Impl() { ending = true; }

  bool cancelled() const { return ending || (stop != nullptr && stop->requested()); }

  PromptScores ask_probe();
  PromptScores score(OpenAiClient& client, const ScoreRequest& request);
  TopKRows ask(OpenAiClient& client, const std::vector<std::int64_t>& ids);
  TopKRows rows_of(const PromptScores& scores, const std::vector<std::int64_t>& ids) const;
  void look(OpenAiClient& client, Clock::time_point since);
  Segments begin(const types::Batch& batch, const std::vector<types::SegmentKey>& keys,
                 bool urgent);
  std::vector<TopKRows> wait_for(const Segments& segments);
  void throw_if_changed();

  ServerTeacherOptions options;
  const core::StopFlag* stop;
  std::string who;
  std::atomic<bool> ending{false};
  std::atomic<std::int64_t> num_requests{0};
  std::atomic<std::int64_t> num_bad_answers{0};
  double seconds_waited = 0;
  std::map<std::int64_t, std::string> token_texts;
  detail::ClientSet clients;
  std::mutex mutex;
  std::exception_ptr changed;  ///< the server has another model now; under the mutex
  detail::ModelWatch watch;
  std::mutex looking;           ///< one at a time asks the probe
  Clock::time_point looked_at;  ///< when it was asked last; under `looking`
  Announced<Segments> announced;
  detail::ScoreQueue queue;  // last: its threads use what is above
};

PromptScores ServerTeacher::Impl::ask_probe() {
  PromptScores first = score(clients[0], {options.probe, options.top_k, /*token_texts=*/true});
  token_texts = std::exchange(first.token_texts, {});
  return first;
}

/// An answer that is none is asked for again: a proxy in between, or a worker of the server that
/// is ill, may be the cause.
PromptScores ServerTeacher::Impl::score(OpenAiClient& client, const ScoreRequest& request) {
  for (std::int64_t bad = 0;; ++bad) {
    try {
      PromptScores scores = client.score(options.api, request);
      ++num_requests;
      return scores;
    } catch (const BadAnswer& error) {
      if (bad == kMostBadAnswers) {
        fail<BadAnswer>(error.what(), "; asked ", bad + 1, " times");
      }
      ++num_bad_answers;
      clients.log().warning(error.what(), "; asked again, ", bad + 1, " of ", kMostBadAnswers,
                            " times");
      // As soon as a first retry, then twice as long.
      const double wait = options.server.retry.first_wait * std::exp2(static_cast<double>(bad));
      if (!clients.wait(wait)) {
        throw io::HttpError(io::HttpFailure::kCancelled, who + ": stopped while waiting");
      }
    }
  }
}

/// The probe must have been asked after `since`, by whichever client.
void ServerTeacher::Impl::look(OpenAiClient& client, Clock::time_point since) {
  const std::lock_guard lock(looking);
  if (looked_at >= since) return;
  const auto now = Clock::now();
  watch.check_probe(score(client, {options.probe, options.top_k}));
  looked_at = now;
}

TopKRows ServerTeacher::Impl::ask(OpenAiClient& client, const std::vector<std::int64_t>& ids) {
  const std::int64_t retries = clients.num_retries();
  const std::int64_t connections = client.num_connections();
  const auto begin = Clock::now();
  const PromptScores scores = score(client, {ids, options.own_tokens ? 1 : options.top_k});
  try {
    watch.check_name(scores);
    // The server that answers may be another one than before.
    if (clients.num_retries() != retries || watch.is_due()) {
      look(client, Clock::now());
    } else if (client.num_connections() != connections) {
      look(client, begin);
    }
  } catch (const TeacherError&) {
    const std::lock_guard lock(mutex);
    if (!changed) changed = std::current_exception();
    throw;
  }
  return rows_of(scores, ids);
}

TopKRows ServerTeacher::Impl::rows_of(const PromptScores& scores,
                                      const std::vector<std::int64_t>& ids) const {
  if (options.own_tokens) return detail::own_token_rows(scores, ids);
  return detail::top_k_rows(scores, ids, {options.top_k, options.vocabulary}, who);
}

void ServerTeacher::Impl::throw_if_changed() {
  const std::lock_guard lock(mutex);
  if (changed) std::rethrow_exception(changed);
}

Segments ServerTeacher::Impl::begin(const types::Batch& batch,
                                    const std::vector<types::SegmentKey>& keys, bool urgent) {
  const at::Tensor ids_N = batch.input.input_ids.cpu().contiguous();
  const at::Tensor mask_N = batch.loss_mask.cpu().contiguous();
  const auto* ids = ids_N.const_data_ptr<std::int64_t>();
  const auto* mask = mask_N.const_data_ptr<bool>();
  Segments segments;
  for (std::size_t s = 0; s < keys.size(); ++s) {
    const std::int64_t first = batch.input.segments[s];
    const std::int64_t last = batch.input.segments[s + 1];
    Segment segment{last - first, nullptr};
    if (std::find(mask + first, mask + last, true) != mask + last) {
      segment.ticket = queue.add(keys[s], {ids + first, ids + last}, urgent);
    }
    segments.push_back(std::move(segment));
  }
  return segments;
}

std::vector<TopKRows> ServerTeacher::Impl::wait_for(const Segments& segments) {
  const auto start = Clock::now();
  std::vector<TopKRows> rows;
  try {
    for (const auto& segment : segments) {
      const std::vector<std::int64_t> nothing(static_cast<std::size_t>(segment.length));
      rows.push_back(segment.ticket ? segment.ticket->rows() : rows_of({}, nothing));
    }
  } catch (const io::HttpError& error) {
    if (error.failure() != io::HttpFailure::kCancelled || stop == nullptr) throw;
    fail<Interrupted>("stopped by signal ", stop->reason(), " while waiting for ", who);
  }
  const std::chrono::duration<double> waited = Clock::now() - start;
  seconds_waited += waited.count();
  throw_if_changed();
  return rows;
}

ServerTeacher::ServerTeacher(const ServerTeacherOptions& options, core::Logger& log,
                             const core::StopFlag* stop) {
  check(options);
  impl_ = std::make_unique<Impl>(options, log, stop);
}

ServerTeacher::~ServerTeacher() = default;

void ServerTeacher::announce(const types::Batch& batch) {
  auto keys = types::segment_keys(batch);
  auto segments = impl_->begin(batch, keys, /*urgent=*/false);
  impl_->announced.add(std::move(keys), std::move(segments));
}

types::TeacherSignal ServerTeacher::signal(const types::Batch& batch) {
  const auto keys = types::segment_keys(batch);
  auto segments = impl_->announced.take(keys);
  if (!segments) segments = impl_->begin(batch, keys, /*urgent=*/true);
  std::vector<at::Tensor> ids;
  std::vector<at::Tensor> log_probs;
  for (auto& rows : impl_->wait_for(*segments)) {
    ids.push_back(std::move(rows.ids));
    log_probs.push_back(std::move(rows.log_probs));
  }
  const at::Device device = batch.input.input_ids.device();
  return types::TopKLogProbs{at::cat(ids).to(device), at::cat(log_probs).to(device),
                             impl_->options.vocabulary};
}

std::optional<TeacherCounts> ServerTeacher::counts() const {
  return TeacherCounts{impl_->num_requests, impl_->clients.num_retries(), impl_->num_bad_answers,
                       impl_->seconds_waited};
}

std::vector<std::string> ServerTeacher::summary() const {
  const TeacherCounts seen = *counts();
  return {core::concat("teacher: ", core::with_thousands(seen.requests), " answers, ",
                       core::with_thousands(seen.retries), " retries, ",
                       core::with_thousands(seen.bad_answers), " bad answers; waited ",
                       core::human_seconds(seen.seconds_waited), " for them")};
}

std::string ServerTeacher::describe() const {
  const auto& options = impl_->options;
  return core::concat("server ", core::printable(options.server.model), " at ", options.server.url,
                      options.own_tokens ? std::string(" (the text's own tokens")
                                         : core::concat(" (top ", options.top_k),
                      " of ", core::with_thousands(options.vocabulary), " ids)");
}

const std::map<std::int64_t, std::string>& ServerTeacher::token_texts() const {
  return impl_->token_texts;
}

std::optional<std::vector<std::int64_t>> ServerTeacher::tokenize(const std::string& text) {
  return impl_->clients[0].tokenize(text);
}

std::optional<std::int64_t> ServerTeacher::max_tokens() const {
  return impl_->clients.max_tokens();
}

}  // namespace distill::teachers
