#include <cmath>
#include <string>
#include <vector>

#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/pipeline/report.h>

#include "pipeline/report_forgetting.h"

namespace distill::pipeline {

namespace {

using core::fixed;

std::string perplexity(double value) {
  if (std::isfinite(value) && value >= 10'000 && value < 1e15) {
    return core::with_thousands(std::llround(value));
  }
  if (value >= 1e15 && std::isfinite(value)) return "over 1e15";
  return fixed(value, value < 100 ? 2 : 1);
}

std::string share(double value) {
  return std::isfinite(value) ? fixed(100 * value, 1) + " %" : "not finite";
}

std::string millions(std::int64_t value) {
  if (value < 1'000'000) return core::with_thousands(value);
  return fixed(static_cast<double>(value) / 1e6, 1) + " M";
}

std::string speed(std::int64_t tokens, double seconds) {
  if (!(seconds > 0)) return "-";
  const double rate = static_cast<double>(tokens) / seconds;
  return rate < 1e15 ? core::with_thousands(std::llround(rate)) : "-";
}

using Row = std::vector<std::string>;

Row measured(const std::string& name, const Report& report, const std::string& teacher,
             const auto& cell) {
  const auto text = [&](const std::optional<eval::Evaluation>& e) { return e ? cell(*e) : "-"; };
  return {name, teacher, text(report.before), text(report.after)};
}

/// The figures of a set that a final table has room for.
void add_set(const SetReport& set, std::vector<Row>& rows) {
  const auto& any = set.after ? set.after : set.before;
  if (!any) return;
  const auto add = [&](std::string_view figure) {
    const auto text = [figure](const std::optional<eval::SetSummary>& side) {
      return side ? eval::value_text(figure, side->value(figure)) : std::string("-");
    };
    rows.push_back({core::concat(set.name, ": ", eval::title_of(figure)), text(set.teacher),
                    text(set.before), text(set.after)});
  };
  add(any->figures.front().name);
  if (any->kind == eval::SetKind::kQuestions) add("bias_score");
}

/// How far the student is from the teacher on each set, or from where it began.
std::string gaps_text(const std::vector<SetReport>& sets) {
  core::Table table;
  bool any = false;
  for (const SetReport& set : sets) {
    const auto& apart = set.gap ? set.gap : set.change;
    if (!apart) continue;
    any = true;
    const eval::Estimate& figure = apart->figures.front();
    table.add({core::concat(set.name, ": ", eval::title_of(figure.name)),
               eval::estimate_text(figure, /*sign=*/true),
               set.gap ? "student - teacher" : "after - before"});
  }
  return any ? "\nover the same rows, with 95 % intervals\n" + table.text("  ") : "";
}

std::vector<Row> make_rows(const Report& report) {
  const auto& any = report.after ? report.after : report.before;
  const bool full = any && any->kl_to_teacher.has_value();
  const bool top_k = any && any->top_k_kl_to_teacher.has_value();
  const auto optional = [](const std::optional<double>& value, const auto& format) {
    return value ? format(*value) : std::string("-");
  };
  std::vector<Row> rows = {{"", "teacher", "student before", "student after"}};
  if (any) {
    rows.push_back(measured("perplexity", report, optional(any->teacher_perplexity, perplexity),
                            [](const auto& e) { return perplexity(e.perplexity); }));
  }
  const auto nats = [](double value) { return fixed(value, 3); };
  if (full) {
    rows.push_back(measured("KL to the teacher", report, "0",
                            [&](const auto& e) { return optional(e.kl_to_teacher, nats); }));
  }
  if (top_k) {
    rows.push_back(measured("KL to its top ids", report, "0",
                            [&](const auto& e) { return optional(e.top_k_kl_to_teacher, nats); }));
  }
  if (any && any->top1_agreement) {
    rows.push_back(measured("top-1 agreement", report, share(1),
                            [&](const auto& e) { return optional(e.top1_agreement, share); }));
  }
  for (const SetReport& set : report.sets) add_set(set, rows);
  const auto size = [&](const char* name, const auto& text) {
    const std::string student = text(report.student);
    rows.push_back({name, report.teacher ? text(*report.teacher) : "-", student, student});
  };
  size("parameters", [](const ModelSize& s) { return millions(s.parameters); });
  size("size", [](const ModelSize& s) { return core::human_bytes(s.bytes); });
  if (any) {
    rows.push_back(measured(
        "tokens/s, reading", report, full ? speed(report.eval_tokens, any->teacher_seconds) : "-",
        [&](const auto& e) { return speed(report.eval_tokens, e.student_seconds); }));
  }
  return rows;
}

}  // namespace

std::string report_table(const Report& report) {
  core::Table table;
  for (Row& row : make_rows(report)) {
    if (!report.teacher) row.erase(row.begin() + 1);
    table.add(std::move(row));
  }
  std::string out = table.text() + gaps_text(report.sets);
  out += core::concat(
      "\n", core::with_thousands(report.tokens), " tokens in ", core::human_seconds(report.seconds),
      " (", core::with_thousands(std::llround(report.tokens_per_second())),
      " tokens/s), peak memory ", core::human_bytes(report.peak_memory_bytes), "\n");
  if (report.trained_parameters > 0 && report.trained_parameters < report.student.parameters) {
    const double share = 100.0 * static_cast<double>(report.trained_parameters) /
                         static_cast<double>(report.student.parameters);
    out += core::concat("trained ", core::with_thousands(report.trained_parameters),
                        " parameters, ", fixed(share, 2), " % of the student's ",
                        core::with_thousands(report.student.parameters), "\n");
  }
  if (report.forgetting) out += forgetting_text(*report.forgetting);
  if (report.skipped_steps > 0) {
    out += core::concat(report.skipped_steps, " of ", report.steps,
                        " steps were skipped: loss or gradient was not finite\n");
  }
  if (report.train_data && report.train_data->skipped > 0) {
    out += core::concat(core::with_thousands(report.train_data->skipped),
                        " rows of the training data were skipped, the first: ",
                        report.train_data->first_skipped.empty()
                            ? std::string("not named")
                            : report.train_data->first_skipped.front(),
                        "\n");
  }
  if (report.train_data && report.train_data->tokens_cut_off > 0) {
    out += core::concat(core::with_thousands(report.train_data->tokens_cut_off),
                        " tokens of long documents were cut off\n");
  }
  return out;
}

}  // namespace distill::pipeline
