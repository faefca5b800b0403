#include <distill/teachers/process_teacher.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/teachers/announced.h>

#include "teachers/teacher_link.h"

namespace distill::teachers {

namespace {

using detail::Ticket;
using TicketPtr = std::shared_ptr<Ticket>;

at::ScalarType type_of(const io::TeacherFacts& facts) {
  return facts.dtype == "bf16" ? at::kBFloat16 : at::kFloat;
}

/// Of one look for NaN and Inf, which needs a byte for each.
constexpr std::int64_t kNumbersAtOnce = std::int64_t{1} << 22;

double times(std::uint64_t many, std::uint64_t few) {
  return few == 0 ? 0 : static_cast<double>(many) / static_cast<double>(few);
}

}  // namespace

struct ProcessTeacher::Impl {
  Impl(std::unique_ptr<dist::Channel> channel, ProcessTeacherOptions o, const core::StopFlag* stop)
      : options(std::move(o)),
        link(std::move(channel), options.where, options.timeout_seconds, stop) {
    facts = link.greet();
    if (options.check) options.check(facts);
    head = link.fetch_head(facts).view(type_of(facts)).view({facts.vocabulary, facts.hidden_size});
    require_finite(head, "head");
  }

  TicketPtr make_ticket(const types::Batch& batch) const;
  at::Tensor rows_of(const Ticket& ticket) const;
  at::Tensor lend(const at::Tensor& rows);
  at::Tensor hidden_of(Ticket& ticket, const types::Batch& batch);
  void require_finite(const at::Tensor& values, const char* what) const;

  ProcessTeacherOptions options;
  io::TeacherFacts facts;
  at::Tensor head;
  detail::TeacherLink link;
  Announced<TicketPtr> announced;
  std::weak_ptr<const bool> lent;  ///< alive while a caller holds a teacher's own memory
  TeacherCounts counts;
  std::int64_t positions = 0;
};

/// Null: nothing of it counts.
TicketPtr ProcessTeacher::Impl::make_ticket(const types::Batch& batch) const {
  const at::Tensor ids_N = batch.input.input_ids.cpu().contiguous();
  const at::Tensor mask_N = batch.loss_mask.cpu().contiguous();
  const auto* ids = ids_N.const_data_ptr<std::int64_t>();
  const auto* mask = mask_N.const_data_ptr<bool>();
  auto ticket = std::make_shared<Ticket>();
  ticket->request.ids.assign(ids, ids + ids_N.numel());
  ticket->request.counts.assign(mask, mask + mask_N.numel());
  ticket->request.segments = batch.input.segments;
  // In shared memory rows cost nothing on the way, and lie where the loss wants them.
  ticket->request.whole = link.shares_memory();
  ticket->positions = std::count(mask, mask + mask_N.numel(), true);
  if (ticket->positions == 0) return nullptr;
  const std::int64_t rows = ticket->request.whole ? ids_N.numel() : ticket->positions;
  ticket->bytes = static_cast<std::uint64_t>(rows) * facts.hidden_bytes();
  return ticket;
}

void ProcessTeacher::Impl::require_finite(const at::Tensor& values, const char* what) const {
  const std::int64_t rows = std::max<std::int64_t>(1, kNumbersAtOnce / values.size(1));
  bool finite = true;
  for (std::int64_t row = 0; finite && row < values.size(0); row += rows) {
    const std::int64_t count = std::min(rows, values.size(0) - row);
    finite = at::isfinite(values.narrow(0, row, count)).all().item<bool>();
  }
  if (finite) return;
  fail<TeacherError>("teacher at ", options.where, ": its ", what,
                     " holds NaN or Inf; nothing is learned from it");
}

at::Tensor ProcessTeacher::Impl::rows_of(const Ticket& ticket) const {
  const at::Tensor rows = ticket.answer.view(type_of(facts)).view({-1, facts.hidden_size});
  require_finite(rows, "answer");
  return rows;
}

/// The teacher's own memory to one caller at a time, a copy to others: it has only so much.
at::Tensor ProcessTeacher::Impl::lend(const at::Tensor& rows) {
  if (!lent.expired()) return rows.clone();
  auto token = std::make_shared<const bool>(true);
  lent = token;
  return at::from_blob(
      rows.data_ptr(), rows.sizes(), [rows, token](void*) {}, rows.options());
}

at::Tensor ProcessTeacher::Impl::hidden_of(Ticket& ticket, const types::Batch& batch) {
  const at::Tensor rows = rows_of(ticket);
  ticket.answer = at::Tensor();
  const std::int64_t tokens = batch.input.input_ids.numel();
  if (link.shares_memory()) return lend(rows);
  if (rows.size(0) == tokens) return rows;
  const at::Tensor places = at::nonzero(batch.loss_mask.cpu()).select(1, 0);
  return at::zeros({tokens, facts.hidden_size}, rows.options()).index_copy_(0, places, rows);
}

ProcessTeacher::ProcessTeacher(std::unique_ptr<dist::Channel> channel,
                               ProcessTeacherOptions options, const core::StopFlag* stop)
    : impl_(std::make_unique<Impl>(std::move(channel), std::move(options), stop)) {}

ProcessTeacher::~ProcessTeacher() = default;

const io::TeacherFacts& ProcessTeacher::facts() const {
  return impl_->facts;
}

void ProcessTeacher::announce(const types::Batch& batch) {
  auto ticket = impl_->make_ticket(batch);
  if (ticket) impl_->link.ask(ticket, /*urgent=*/false);
  impl_->announced.add(types::segment_keys(batch), std::move(ticket));
}

types::TeacherSignal ProcessTeacher::signal(const types::Batch& batch) {
  const at::Device device = batch.input.input_ids.device();
  impl_->head = impl_->head.to(device);  // once
  auto known = impl_->announced.take(types::segment_keys(batch));
  TicketPtr ticket = known ? std::move(*known) : impl_->make_ticket(batch);
  const types::LogitTransform transform{impl_->facts.scale, impl_->facts.softcap};
  if (!ticket) {
    const auto shape = {batch.input.input_ids.numel(), impl_->facts.hidden_size};
    return types::DenseHidden{at::zeros(shape, impl_->head.options()), impl_->head, transform};
  }
  if (!known) impl_->link.ask(ticket, /*urgent=*/true);
  const auto begin = std::chrono::steady_clock::now();
  impl_->link.wait_for(*ticket);
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
  const at::Tensor hidden = impl_->hidden_of(*ticket, batch);
  TeacherCounts& counts = impl_->counts;
  const auto positions = static_cast<std::uint64_t>(ticket->positions);
  counts.seconds_waited += waited.count();
  ++counts.requests;
  counts.bytes += positions * impl_->facts.hidden_bytes();
  counts.logit_bytes += positions * impl_->facts.logit_bytes();
  impl_->positions += ticket->positions;
  return types::DenseHidden{hidden.to(device), impl_->head, transform};
}

std::optional<TeacherCounts> ProcessTeacher::counts() const {
  return impl_->counts;
}

std::vector<std::string> ProcessTeacher::summary() const {
  const TeacherCounts& seen = impl_->counts;
  return {core::concat("teacher: ", core::with_thousands(seen.requests), " answers, ",
                       core::with_thousands(impl_->positions),
                       " positions: ", core::human_bytes(seen.bytes), " of hidden states (",
                       core::human_bytes(seen.logit_bytes), " as logits, ",
                       core::fixed(times(seen.logit_bytes, seen.bytes), 1), " times as much), ",
                       core::human_bytes(impl_->facts.head_bytes()), " of head once; waited ",
                       core::human_seconds(seen.seconds_waited), " for them")};
}

std::optional<std::string> ProcessTeacher::likeness() const {
  return core::JsonWriter()
      .begin_object()
      .member("format_version", 1)
      .member("kind", "process")
      .member("weights", impl_->facts.weights)
      .member("dtype", impl_->facts.dtype)
      .end_object()
      .text();
}

std::string ProcessTeacher::describe() const {
  const io::TeacherFacts& facts = impl_->facts;
  return core::concat("process ", facts.model, " at ", impl_->options.where, " (",
                      core::fixed(static_cast<double>(facts.parameters) / 1e6, 1),
                      " M parameters, ", facts.dtype, ", hidden size ", facts.hidden_size, ")");
}

}  // namespace distill::teachers
