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
#include "teachers/kept_answer.h"
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

/// What is known of the server behind a client.
struct Behind {
  std::int64_t asked_connection = 0;  ///< number of the connection that the probe came over last
  bool keeps = true;                  ///< a connection serves for more than one question
};

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
        behind(clients.size()),
        watch({who, o.check_seconds, o.max_drift}, ask_probe()),
        queue(clients, [this](OpenAiClient& client, const std::vector<std::int64_t>& ids) {
          return ask(client, ids);
        }) {}
  ~Impl() { ending = true; }

  bool cancelled() const { return ending || (stop != nullptr && stop->requested()); }

  PromptScores ask_probe();
  Behind& behind_of(const OpenAiClient& client);
  PromptScores score(OpenAiClient& client, const ScoreRequest& request);
  TopKRows ask(OpenAiClient& client, const std::vector<std::int64_t>& ids);
  TopKRows rows_of(const PromptScores& scores, const std::vector<std::int64_t>& ids) const;
  bool must_look(const OpenAiClient& client, bool in_one_go);
  void look(OpenAiClient& client);
  Segments begin(const types::Batch& batch, const std::vector<types::SegmentKey>& keys,
                 bool urgent);
  std::vector<TopKRows> wait_for(const Segments& segments);
  void throw_if_changed();
  /// Throws Interrupted where that is why a request ended.
  void throw_if_stopped(const io::HttpError& error) const {
    if (!detail::is_stop(error, stop)) return;
    fail<Interrupted>("stopped by signal ", stop->reason(), " while waiting for ", who);
  }

  ServerTeacherOptions options;
  const core::StopFlag* stop;
  std::string who;
  std::atomic<bool> ending{false};
  std::atomic<std::int64_t> num_requests{0};
  std::atomic<std::int64_t> num_bad_answers{0};
  double seconds_waited = 0;
  std::map<std::int64_t, std::string> token_texts;
  detail::ClientSet clients;
  std::vector<Behind> behind;  ///< each client; of the one thread that uses it
  std::mutex mutex;
  std::exception_ptr changed;  ///< the server has another model now; under the mutex
  detail::ModelWatch watch;
  Announced<Segments> announced;
  detail::ScoreQueue queue;  // last: its threads use what is above
};

PromptScores ServerTeacher::Impl::ask_probe() {
  PromptScores first = score(clients[0], {options.probe, options.top_k, /*token_texts=*/true});
  token_texts = std::exchange(first.token_texts, {});
  behind[0].asked_connection = clients[0].num_connections();
  return first;
}

Behind& ServerTeacher::Impl::behind_of(const OpenAiClient& client) {
  std::size_t i = 0;
  while (&clients[i] != &client) ++i;
  return behind[i];
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

/// Whether the server that has just answered may be another one than before. `in_one_go`: it was
/// asked once, and that was an answer.
bool ServerTeacher::Impl::must_look(const OpenAiClient& client, bool in_one_go) {
  if (!in_one_go || watch.is_due()) return true;
  const Behind& own = behind_of(client);
  return own.keeps && client.num_connections() != own.asked_connection;
}

/// Asks the probe of the server behind this client.
void ServerTeacher::Impl::look(OpenAiClient& client) {
  const std::int64_t before = client.num_connections();
  watch.check_probe(score(client, {options.probe, options.top_k}));
  Behind& own = behind_of(client);
  own.asked_connection = client.num_connections();
  // Where each question takes a connection of its own, the probe says nothing of the last answer.
  own.keeps = own.asked_connection == before;
}

TopKRows ServerTeacher::Impl::ask(OpenAiClient& client, const std::vector<std::int64_t>& ids) {
  const std::int64_t sent = client.num_sent();
  const std::int64_t connections = client.num_connections();
  const PromptScores scores = score(client, {ids, options.own_tokens ? 1 : options.top_k});
  if (client.num_connections() == connections) behind_of(client).keeps = true;
  try {
    watch.check_name(scores);
    if (must_look(client, client.num_sent() == sent + 1)) look(client);
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
    throw_if_stopped(error);
    throw;
  }
  const std::chrono::duration<double> waited = Clock::now() - start;
  seconds_waited += waited.count();
  throw_if_changed();
  return rows;
}

ServerTeacher::ServerTeacher(const ServerTeacherOptions& options, core::Logger& log,
                             const core::StopFlag* stop) {
  check(options);
  try {
    impl_ = std::make_unique<Impl>(options, log, stop);
  } catch (const io::HttpError& error) {
    if (!detail::is_stop(error, stop)) throw;
    fail<Interrupted>("stopped by signal ", stop->reason(), " while waiting for ",
                      options.server.url);
  }
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

std::optional<std::string> ServerTeacher::likeness() const {
  const Impl& impl = *impl_;
  return detail::to_text(
      detail::kept_answer(impl.options.probe, impl.options.top_k, impl.watch.first()));
}

void ServerTeacher::require_likeness(const std::string& kept) {
  const detail::KeptAnswer before = detail::parse_kept_answer(kept);
  PromptScores now;
  try {
    now = impl_->score(impl_->clients[0], {before.probe, before.top_k});
  } catch (const io::HttpError& error) {
    impl_->throw_if_stopped(error);
    throw;
  }
  const double drift = detail::distance(before.scores, now);
  if (drift > impl_->options.max_drift) {
    fail<TeacherError>(impl_->who, ": its answers to the same text are ", drift, " apart, at most ",
                       impl_->options.max_drift, " (`max_drift`) is rounding");
  }
  if (now.fingerprint == before.scores.fingerprint) return;
  fail<TeacherError>(impl_->who, ": it answers as before, but was `",
                     core::printable(before.scores.fingerprint), "` and is `",
                     core::printable(now.fingerprint),
                     "` now; if it is the same model, remove this file");
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
  try {
    return impl_->clients[0].tokenize(text);
  } catch (const io::HttpError& error) {
    impl_->throw_if_stopped(error);
    throw;
  }
}

std::optional<std::int64_t> ServerTeacher::max_tokens() const {
  return impl_->clients.max_tokens();
}

}  // namespace distill::teachers
