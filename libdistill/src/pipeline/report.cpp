#include <distill/pipeline/report.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

#include "pipeline/report_forgetting.h"
#include "pipeline/report_sets.h"

namespace distill::pipeline {

namespace {

constexpr std::int64_t kFormatVersion = 1;

void write_members(core::JsonWriter& json, const eval::Evaluation& e) {
  json.member("perplexity", e.perplexity);
  if (e.kl_to_teacher) json.member("kl_to_teacher", *e.kl_to_teacher);
  if (e.top_k_kl_to_teacher) json.member("top_k_kl_to_teacher", *e.top_k_kl_to_teacher);
  if (e.top1_agreement) json.member("top1_agreement", *e.top1_agreement);
  if (e.teacher_perplexity) json.member("teacher_perplexity", *e.teacher_perplexity);
  json.member("tokens", e.tokens)
      .member("student_seconds", e.student_seconds)
      .member("teacher_seconds", e.teacher_seconds);
}

void write_members(core::JsonWriter& json, const ModelSize& size) {
  json.member("parameters", size.parameters).member("bytes", size.bytes);
}

void write(core::JsonWriter& json, const models::Quantization& q) {
  json.begin_object()
      .member("format", std::string(ops::name_of(q.format)))
      .member("weights", q.weights)
      .member("bytes", q.bytes)
      .member("dense_bytes", q.dense_bytes)
      .member("error", q.error)
      .member("worst", q.worst)
      .member("worst_error", q.worst_error)
      .end_object();
}

/// What is not finite was written as null.
double number(const io::JsonCursor& object, std::string_view name) {
  const auto* member = object.as_object().find(name);
  if (member != nullptr && member->is_null()) return std::numeric_limits<double>::quiet_NaN();
  return object.at(name).as_double();
}

std::optional<double> optional_number(const io::JsonCursor& object, std::string_view name) {
  if (object.as_object().find(name) == nullptr) return std::nullopt;
  return number(object, name);
}

std::int64_t count(const io::JsonCursor& object, std::string_view name) {
  return object.at(name).int_in(0, std::numeric_limits<std::int64_t>::max());
}

eval::Evaluation evaluation(const io::JsonCursor& object) {
  eval::Evaluation e;
  e.perplexity = number(object, "perplexity");
  e.kl_to_teacher = optional_number(object, "kl_to_teacher");
  e.top_k_kl_to_teacher = optional_number(object, "top_k_kl_to_teacher");
  e.top1_agreement = optional_number(object, "top1_agreement");
  e.teacher_perplexity = optional_number(object, "teacher_perplexity");
  e.tokens = count(object, "tokens");
  e.student_seconds = number(object, "student_seconds");
  e.teacher_seconds = number(object, "teacher_seconds");
  return e;
}

/// Nothing where sets alone were measured.
std::optional<eval::Evaluation> text_evaluation(const io::JsonCursor& root, const char* name) {
  if (!root.has(name) || root.at(name).as_object().find("perplexity") == nullptr) {
    return std::nullopt;
  }
  return evaluation(root.at(name));
}

ModelSize model_size(const io::JsonCursor& object) {
  return {count(object, "parameters"), static_cast<std::uint64_t>(count(object, "bytes"))};
}

models::Quantization quantization(const io::JsonCursor& object) {
  const auto names = ops::choice_names(ops::WeightFormat{});
  const io::JsonCursor format = object.at("format");
  const auto found = std::find(names.begin(), names.end(), format.as_string());
  if (found == names.end()) {
    fail<FormatError>(format.where(), ": is `", core::printable(format.as_string()),
                      "`, expected int8, fp8 or nf4");
  }
  models::Quantization q;
  q.format = static_cast<ops::WeightFormat>(found - names.begin());
  q.weights = count(object, "weights");
  q.bytes = static_cast<std::uint64_t>(count(object, "bytes"));
  q.dense_bytes = static_cast<std::uint64_t>(count(object, "dense_bytes"));
  q.error = number(object, "error");
  q.worst = object.at("worst").as_string();
  q.worst_error = number(object, "worst_error");
  return q;
}

data::FileReport file_report(const io::JsonCursor& object) {
  data::FileReport file;
  file.path = object.at("path").as_string();
  file.weight = number(object, "weight");
  file.documents = count(object, "documents");
  file.tokens = count(object, "tokens");
  file.skipped = count(object, "skipped");
  file.seen_documents = count(object, "seen_documents");
  file.seen_tokens = count(object, "seen_tokens");
  return file;
}

data::DataReport data_report(const io::JsonCursor& object) {
  data::DataReport report;
  report.documents = count(object, "documents");
  report.skipped = count(object, "skipped");
  const io::JsonCursor named = object.at("first_skipped");
  for (std::size_t i = 0; i < named.size(); ++i) {
    report.first_skipped.push_back(named.at(i).as_string());
  }
  const io::JsonCursor lengths = object.at("lengths");
  report.shortest = count(lengths, "min");
  report.median = count(lengths, "median");
  report.percentile_95 = count(lengths, "percentile_95");
  report.longest = count(lengths, "max");
  report.long_documents = count(object, "long_documents");
  report.tokens_cut_off = count(object, "tokens_cut_off");
  report.tokens_unlearned = count(object, "tokens_unlearned");
  report.cut_to_fill = count(object, "cut_to_fill");
  report.tokens = count(object, "tokens");
  report.positions = count(object, "positions");
  const io::JsonCursor files = object.at("files");
  for (std::size_t i = 0; i < files.size(); ++i) report.files.push_back(file_report(files.at(i)));
  return report;
}

/// Only where there is something to say.
void write_attempts(core::JsonWriter& json, const Report& report) {
  if (report.attempt > 1) {
    json.member("attempt", report.attempt).key("settings").begin_array();
    for (const auto& setting : report.settings) json.value(setting);
    json.end_array();
  }
  if (const auto& earlier = report.earlier_attempts) {
    json.key("earlier_attempts").begin_object();
    json.member("tokens", earlier->tokens).member("seconds", earlier->seconds);
    if (earlier->energy_joules) json.member("energy_joules", *earlier->energy_joules);
    json.end_object();
  }
  if (report.gates.empty()) return;
  json.key("gates").begin_array();
  for (const GateResult& gate : report.gates) {
    json.begin_object()
        .member("require", gate.require)
        .member("value", gate.value)
        .member("holds", gate.holds)
        .member("on_failure", std::string(recipe::choice_names(
                                  gate.on_failure)[static_cast<std::size_t>(gate.on_failure)]))
        .end_object();
  }
  json.end_array();
}

recipe::OnFailure on_failure(const io::JsonCursor& value) {
  const auto names = recipe::choice_names(recipe::OnFailure{});
  const auto found = std::find(names.begin(), names.end(), value.as_string());
  if (found == names.end()) value.fail("is not known, expected stop, warn or retry");
  return static_cast<recipe::OnFailure>(found - names.begin());
}

void read_attempts(const io::JsonCursor& root, Report& report) {
  report.attempt = root.int_or("attempt", 1);
  if (root.has("settings")) {
    const io::JsonCursor settings = root.at("settings");
    for (std::size_t i = 0; i < settings.size(); ++i) {
      report.settings.push_back(settings.at(i).as_string());
    }
  }
  if (root.has("earlier_attempts")) {
    const io::JsonCursor earlier = root.at("earlier_attempts");
    report.earlier_attempts = {count(earlier, "tokens"), number(earlier, "seconds"),
                               optional_number(earlier, "energy_joules")};
  }
  if (!root.has("gates")) return;
  const io::JsonCursor gates = root.at("gates");
  for (std::size_t i = 0; i < gates.size(); ++i) {
    const io::JsonCursor gate = gates.at(i);
    report.gates.push_back({gate.at("require").as_string(), number(gate, "value"),
                            gate.at("holds").as_bool(), on_failure(gate.at("on_failure"))});
  }
}

}  // namespace

RunCosts& RunCosts::operator+=(const RunCosts& other) {
  tokens += other.tokens;
  seconds += other.seconds;
  if (energy_joules && other.energy_joules) {
    *energy_joules += *other.energy_joules;
  } else {
    energy_joules.reset();
  }
  return *this;
}

RunCosts costs_of(const Report& report) {
  return {report.tokens, report.seconds, report.energy_joules};
}

void write_side(core::JsonWriter& json, const char* name,
                const std::optional<eval::Evaluation>& evaluation,
                const std::vector<SetReport>& sets, SetSide side) {
  if (!evaluation && !has_sets(sets, side)) return;
  json.key(name).begin_object();
  if (evaluation) write_members(json, *evaluation);
  write_sets(json, sets, side);
  json.end_object();
}

std::string to_json(const Report& report) {
  core::JsonWriter json(2);
  json.begin_object().member("format_version", kFormatVersion).member("name", report.name);
  if (!report.stopped.empty()) json.member("stopped", report.stopped);
  write_side(json, "before", report.before, report.sets, &SetReport::before);
  write_side(json, "after", report.after, report.sets, &SetReport::after);
  write_differences(json, report.sets);
  if (report.forgetting) write(json.key("forgetting"), *report.forgetting);
  json.member("eval_tokens", report.eval_tokens)
      .member("trained_parameters", report.trained_parameters)
      .member("steps", report.steps)
      .member("skipped_steps", report.skipped_steps)
      .member("tokens", report.tokens)
      .member("seconds", report.seconds)
      .member("tokens_per_second", report.tokens_per_second())
      .member("peak_memory_bytes", report.peak_memory_bytes);
  write_attempts(json, report);
  if (report.energy_joules) json.member("energy_joules", *report.energy_joules);
  if (!report.device.empty()) json.member("device", report.device);
  if (!report.finished.empty()) json.member("finished", report.finished);
  if (report.quantization) write(json.key("quantization"), *report.quantization);
  write_members(json.key("student").begin_object(), report.student);
  json.end_object();
  if (report.teacher) {
    write_members(json.key("teacher").begin_object(), *report.teacher);
    write_sets(json, report.sets, &SetReport::teacher);
    json.end_object();
  }
  if (report.train_data) data::write_json(json.key("train_data"), *report.train_data);
  json.end_object();
  return json.text() + "\n";
}

Report read_report(const std::filesystem::path& path) {
  const io::JsonValue value = io::read_json_file(path);
  const io::JsonCursor root(value, path.string());
  root.at("format_version").int_in(kFormatVersion, kFormatVersion);
  Report report;
  report.name = root.at("name").as_string();
  report.before = text_evaluation(root, "before");
  report.after = text_evaluation(root, "after");
  report.sets = read_sets(root);
  if (root.has("forgetting")) report.forgetting = read_forgetting_report(root.at("forgetting"));
  report.eval_tokens = count(root, "eval_tokens");
  if (root.has("trained_parameters")) report.trained_parameters = count(root, "trained_parameters");
  report.steps = count(root, "steps");
  report.skipped_steps = count(root, "skipped_steps");
  report.tokens = count(root, "tokens");
  report.seconds = number(root, "seconds");
  report.peak_memory_bytes = static_cast<std::uint64_t>(count(root, "peak_memory_bytes"));
  read_attempts(root, report);
  report.energy_joules = optional_number(root, "energy_joules");
  report.stopped = root.string_or("stopped", "");
  report.device = root.string_or("device", "");
  report.finished = root.string_or("finished", "");
  if (root.has("quantization")) report.quantization = quantization(root.at("quantization"));
  report.student = model_size(root.at("student"));
  if (root.has("teacher")) report.teacher = model_size(root.at("teacher"));
  if (root.has("train_data")) report.train_data = data_report(root.at("train_data"));
  return report;
}

std::string to_json(const eval::Evaluation& value) {
  core::JsonWriter json(2);
  write_members(json.begin_object(), value);
  json.end_object();
  return json.text() + "\n";
}

void write_evaluation(const std::filesystem::path& path, const eval::Evaluation& value) {
  core::write_file_atomically(path, to_json(value));
}

eval::Evaluation read_evaluation(const std::filesystem::path& path) {
  const io::JsonValue value = io::read_json_file(path);
  return evaluation(io::JsonCursor(value, path.string()));
}

}  // namespace distill::pipeline
