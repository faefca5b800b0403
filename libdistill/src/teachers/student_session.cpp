#include "teachers/student_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include <distill/types/batch.h>

namespace distill::teachers::detail {

namespace {

using io::TeacherMessage;

std::uint32_t kind_of(TeacherMessage message) {
  return static_cast<std::uint32_t>(message);
}

std::string_view text_of(const std::vector<std::byte>& body) {
  return {reinterpret_cast<const char*>(body.data()), body.size()};
}

/// The largest request: ids, mask and the ends of segments.
constexpr std::uint64_t kMostRequestBytes = 64 + 9ull * io::kMostRequestTokens;

/// The reader of a channel that has broken needs as long to come to its end.
constexpr double kLastWords = 0.5;
/// A channel keeps fewer.
constexpr int kMostWaiting = 100;

class Computing {
 public:
  explicit Computing(ServedTeacher& served) : served_(served) {}
  ~Computing() {
    const std::chrono::duration<double> took = Clock::now() - begin_;
    served_.counts.seconds_computing += took.count();
  }
  Computing(const Computing&) = delete;
  Computing& operator=(const Computing&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  ServedTeacher& served_;
  Clock::time_point begin_ = Clock::now();
};

/// Throws InputError for what the teacher cannot read.
void check_request(const io::TeacherRequest& request, const io::TeacherFacts& facts) {
  const auto large = std::ranges::max_element(request.ids);
  if (*large >= facts.vocabulary) {
    fail<InputError>("the teacher has ", facts.vocabulary, " ids, it was asked for ", *large);
  }
  if (std::ranges::count(request.counts, true) == 0) {
    fail<InputError>("the teacher was asked for no hidden state");
  }
  for (std::size_t s = 0; s + 1 < request.segments.size(); ++s) {
    const std::int64_t length = request.segments[s + 1] - request.segments[s];
    if (length > facts.max_positions) {
      fail<InputError>("the teacher has ", facts.max_positions, " positions, it was asked for ",
                       length);
    }
  }
}

types::Batch batch_of(const io::TeacherRequest& request, at::Device device) {
  std::vector<std::vector<std::int64_t>> sequences;
  for (std::size_t s = 0; s + 1 < request.segments.size(); ++s) {
    sequences.emplace_back(request.ids.begin() + request.segments[s],
                           request.ids.begin() + request.segments[s + 1]);
  }
  types::Batch batch;
  batch.input = types::pack(sequences);
  batch.labels = at::zeros({std::ssize(request.ids)}, at::TensorOptions(at::kLong));
  batch.loss_mask = at::empty({std::ssize(request.ids)}, at::TensorOptions(at::kBool));
  std::ranges::copy(request.counts, batch.loss_mask.data_ptr<bool>());
  return device.is_cpu() ? batch : types::moved_to(batch, device);
}

at::Tensor rows_that_count(const io::TeacherRequest& request) {
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < request.counts.size(); ++i) {
    if (request.counts[i]) rows.push_back(static_cast<std::int64_t>(i));
  }
  return at::tensor(rows, at::TensorOptions(at::kLong));
}

}  // namespace

StudentSession::StudentSession(std::unique_ptr<dist::Channel> channel, ServedTeacher& served,
                               std::string who)
    : channel_(std::move(channel)), served_(served), who_(std::move(who)) {
  channel_->set_limits({io::kMostHelloBytes, 0});
}

void StudentSession::work(double seconds) {
  try {
    const auto message = channel_->receive(seconds);
    if (message) handle(*message);
  } catch (const DistributedError&) {
    if (!has_said_bye()) throw;
    over_ = true;
  }
}

/// A student that is done does not wait for answers that it does not need; its last word may lie
/// behind requests for them.
bool StudentSession::has_said_bye() {
  try {
    for (int i = 0; i < kMostWaiting; ++i) {
      const auto message = channel_->receive(kLastWords);
      if (!message) return false;
      if (message->kind == kind_of(TeacherMessage::kBye)) return true;
    }
  } catch (const DistributedError&) {
  }
  return false;
}

void StudentSession::handle(const dist::Message& message) {
  const auto kind = static_cast<TeacherMessage>(message.kind);
  if (kind == TeacherMessage::kHello && !greeted_) return greet(message);
  if (kind == TeacherMessage::kGetHead && greeted_) return send_head();
  if (kind == TeacherMessage::kRequest && greeted_) return answer(message);
  if (kind == TeacherMessage::kBye) {
    over_ = true;
    return;
  }
  fail<FormatError>(who_, ": a message of kind ", message.kind, " that is not expected",
                    greeted_ ? "" : " before a hello");
}

void StudentSession::greet(const dist::Message& message) {
  // First: a student of another version is to learn who it is talking to.
  const std::string hello = io::write_teacher_hello(served_.options.facts);
  channel_->send(kind_of(TeacherMessage::kHello), std::as_bytes(std::span(hello)));
  io::read_student_hello(text_of(message.body), who_);
  greeted_ = true;
  channel_->set_limits({kMostRequestBytes, 0});
}

void StudentSession::send_head() {
  channel_->send(kind_of(TeacherMessage::kHead), {}, served_.head);
  const auto bytes = static_cast<std::uint64_t>(served_.head->bytes().numel());
  auto& sent = served_.counts.head_bytes;
  sent = channel_->shares_memory() ? bytes : sent + bytes;
}

/// The hidden states that were asked for, in memory that can be sent.
std::shared_ptr<dist::Bulk> StudentSession::hidden_states(const io::TeacherRequest& request) {
  const io::TeacherFacts& facts = served_.options.facts;
  const auto signal = served_.teacher.signal(batch_of(request, served_.options.device));
  const auto* dense = std::get_if<types::DenseHidden>(&signal);
  const std::int64_t tokens = std::ssize(request.ids);
  if (dense == nullptr || dense->hidden.size(0) != tokens ||
      dense->hidden.size(1) != facts.hidden_size) {
    fail<TeacherError>("the teacher gave no hidden states for the ", tokens, " tokens");
  }
  const at::Tensor rows = rows_that_count(request);
  const std::int64_t num_rows = request.whole ? tokens : rows.numel();
  const at::Tensor hidden = dense->hidden.detach().cpu();
  auto bulk = channel_->make_bulk(static_cast<std::uint64_t>(num_rows) * facts.hidden_bytes());
  at::Tensor out = bulk->bytes().view(hidden.scalar_type()).view({num_rows, facts.hidden_size});
  if (rows.numel() == num_rows) {
    at::index_select_out(out, hidden, 0, rows);
  } else if (request.whole) {
    out.zero_().index_copy_(0, rows, at::index_select(hidden, 0, rows));
  }
  return bulk;
}

/// The same, timed; a student hears why there are none.
std::shared_ptr<dist::Bulk> StudentSession::compute(const io::TeacherRequest& request) {
  const Computing computing(served_);
  try {
    check_request(request, served_.options.facts);
    return hidden_states(request);
  } catch (const DistributedError&) {  // it hears nothing any more
    throw;
  } catch (const std::exception& error) {
    channel_->send(kind_of(TeacherMessage::kFailed),
                   io::write_answer({request.number, error.what()}));
    throw;
  }
}

void StudentSession::answer(const dist::Message& message) {
  const io::TeacherRequest request = io::read_request(message.body, who_);
  const auto bulk = compute(request);
  channel_->send(kind_of(TeacherMessage::kAnswer), io::write_answer({request.number, ""}), bulk);
  count(request);
}

void StudentSession::count(const io::TeacherRequest& request) {
  const io::TeacherFacts& facts = served_.options.facts;
  ServiceCounts& counts = served_.counts;
  const auto positions = std::ranges::count(request.counts, true);
  ++counts.requests;
  counts.tokens += std::ssize(request.ids);
  counts.positions += positions;
  counts.bytes += static_cast<std::uint64_t>(positions) * facts.hidden_bytes();
  counts.logit_bytes += static_cast<std::uint64_t>(positions) * facts.logit_bytes();
}

void StudentSession::say_bye() {
  try {
    channel_->send(kind_of(TeacherMessage::kBye), {});
  } catch (const Error&) {
  }
  channel_->farewell();
}

}  // namespace distill::teachers::detail
