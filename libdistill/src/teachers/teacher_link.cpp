#include "teachers/teacher_link.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/core/memory.h>

namespace distill::teachers::detail {

namespace {

using io::TeacherMessage;

/// Batches that the teacher has at one time: one that it works at, one that waits, so that it never
/// does, and one that is ready. Each takes the memory of an answer.
constexpr std::size_t kInFlight = 3;
constexpr double kLook = 0.1;              ///< seconds between two looks at the stop flag
constexpr std::uint64_t kMostBody = 4096;  ///< of a message behind the hello

constexpr const char* kAdvice =
    "; start it again (`distill teacher`), then the same command goes on";

std::uint32_t kind_of(TeacherMessage message) {
  return static_cast<std::uint32_t>(message);
}

}  // namespace

TeacherLink::TeacherLink(std::unique_ptr<dist::Channel> channel, std::string where,
                         double timeout_seconds, const core::StopFlag* stop)
    : channel_(std::move(channel)),
      where_(std::move(where)),
      timeout_seconds_(timeout_seconds),
      stop_(stop) {}

TeacherLink::~TeacherLink() {
  try {
    channel_->send(kind_of(TeacherMessage::kBye), {});
  } catch (const Error&) {  // it is gone already
  }
}

void TeacherLink::give_up(const std::string& what) const {
  fail<TeacherError>("teacher at ", where_, ": ", what, kAdvice);
}

void TeacherLink::give_up(const Error& error) const {
  fail<TeacherError>("teacher at ", error.what(), kAdvice);
}

/// Throws where the teacher is gone or silent.
dist::Message TeacherLink::next_message() {
  const auto begin = std::chrono::steady_clock::now();
  while (true) {
    std::optional<dist::Message> message;
    try {
      message = channel_->receive(kLook);
    } catch (const DistributedError& error) {
      give_up(error);
    }
    if (stop_ != nullptr && stop_->requested()) {
      fail<Interrupted>("stopped by signal ", stop_->reason(), " while waiting for the teacher at ",
                        where_);
    }
    if (message) return std::move(*message);
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
    const double silence = std::min(waited.count(), channel_->silence());
    if (silence > timeout_seconds_) {
      give_up(core::concat("silent for ", core::human_seconds(silence), " (`timeout_seconds`)"));
    }
  }
}

dist::Message TeacherLink::expect(TeacherMessage kind) {
  dist::Message message = next_message();
  if (message.kind == kind_of(TeacherMessage::kBye)) give_up("was ended");
  if (message.kind == kind_of(kind)) return message;
  fail<FormatError>("teacher at ", where_, ": a message of kind ", message.kind, ", expected ",
                    kind_of(kind));
}

io::TeacherFacts TeacherLink::greet() {
  channel_->set_limits({io::kMostHelloBytes, 0});
  const std::string hello = io::write_student_hello();
  try {
    channel_->send(kind_of(TeacherMessage::kHello), std::as_bytes(std::span(hello)));
  } catch (const DistributedError& error) {
    give_up(error);
  }
  const dist::Message message = expect(TeacherMessage::kHello);
  return io::read_teacher_hello(
      {reinterpret_cast<const char*>(message.body.data()), message.body.size()},
      "teacher at " + where_);
}

at::Tensor TeacherLink::fetch_head(const io::TeacherFacts& facts) {
  const auto available = core::available_memory();
  if (!channel_->shares_memory() && available && facts.head_bytes() > *available) {
    fail<InputError>("teacher at ", where_, ": its head takes ",
                     core::human_bytes(facts.head_bytes()), " of memory, ",
                     core::human_bytes(*available), " are available");
  }
  channel_->set_limits({kMostBody, facts.head_bytes()});
  try {
    channel_->send(kind_of(TeacherMessage::kGetHead), {});
  } catch (const DistributedError& error) {
    give_up(error);
  }
  dist::Message message = expect(TeacherMessage::kHead);
  const auto got = message.bulk.defined() ? static_cast<std::uint64_t>(message.bulk.numel()) : 0;
  if (got != facts.head_bytes()) {
    fail<FormatError>("teacher at ", where_, ": a head of ", got, " bytes, expected ",
                      facts.head_bytes());
  }
  return message.bulk;
}

/// Under the mutex, as what follows.
void TeacherLink::send(const std::shared_ptr<Ticket>& ticket) {
  io::TeacherRequest& request = ticket->request;
  request.number = next_number_++;
  largest_ = std::max(largest_, ticket->bytes);
  channel_->set_limits({kMostBody, largest_});
  const auto body = io::write_request(request);
  sent_[request.number] = {ticket, ticket->bytes};
  channel_->send(kind_of(TeacherMessage::kRequest), body);
  request.ids.clear();
  request.ids.shrink_to_fit();
}

void TeacherLink::send_queued() {
  // Answers that nobody has taken yet hold memory too.
  std::erase_if(answered_, [](const auto& ticket) { return ticket.expired(); });
  while (sent_.size() + answered_.size() < kInFlight && !queued_.empty()) {
    const auto ticket = queued_.front().lock();
    queued_.pop_front();
    if (ticket) send(ticket);
  }
}

void TeacherLink::ask(const std::shared_ptr<Ticket>& ticket, bool urgent) {
  const std::lock_guard lock(mutex_);
  try {
    if (urgent) return send(ticket);
    queued_.push_back(ticket);
    send_queued();
  } catch (const DistributedError&) {  // so does receiving
  }
}

bool TeacherLink::is_answered(Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  return ticket.answer.defined();
}

/// What is waited for does not stand behind answers that may never be taken.
void TeacherLink::send_now(const Ticket& wanted) {
  const std::lock_guard lock(mutex_);
  try {
    for (auto place = queued_.begin(); place != queued_.end(); ++place) {
      const auto ticket = place->lock();
      if (ticket.get() != &wanted) continue;
      queued_.erase(place);
      send(ticket);
      break;
    }
    send_queued();
  } catch (const DistributedError&) {  // receiving hears of it
  }
}

void TeacherLink::wait_for(Ticket& ticket) {
  try {
    send_now(ticket);
    while (!is_answered(ticket)) take(next_message());
  } catch (const InputError& error) {  // the fault is not in what the user gave
    throw TeacherError(error.what());
  }
}

void TeacherLink::take(dist::Message message) {
  switch (static_cast<TeacherMessage>(message.kind)) {
    case TeacherMessage::kAnswer:
      return take_answer(std::move(message));
    case TeacherMessage::kFailed:
      fail<TeacherError>("teacher at ", where_, ": ", io::read_answer(message.body, where_).reason);
    case TeacherMessage::kBye:
      give_up("was ended");
    default:
      fail<TeacherError>("teacher at ", where_, ": a message of kind ", message.kind,
                         ", expected an answer");
  }
}

void TeacherLink::take_answer(dist::Message message) {
  const std::uint64_t number = io::read_answer(message.body, where_).number;
  const auto got = message.bulk.defined() ? static_cast<std::uint64_t>(message.bulk.numel()) : 0;
  const std::lock_guard lock(mutex_);
  const auto found = sent_.find(number);
  if (found == sent_.end()) {
    fail<TeacherError>("teacher at ", where_, ": an answer to request ", number,
                       ", which is not open");
  }
  if (got != found->second.bytes) {
    fail<TeacherError>("teacher at ", where_, ": an answer of ", got, " bytes, expected ",
                       found->second.bytes);
  }
  if (const auto ticket = found->second.ticket.lock()) {
    ticket->answer = std::move(message.bulk);
    answered_.push_back(ticket);
  }
  sent_.erase(found);
  try {
    send_queued();
  } catch (const DistributedError&) {  // the next wait hears of it
  }
}

}  // namespace distill::teachers::detail
