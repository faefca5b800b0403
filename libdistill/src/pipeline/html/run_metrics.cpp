#include "pipeline/html/run_metrics.h"

#include <algorithm>
#include <array>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/io/line_reader.h>

#include "pipeline/html/numbers.h"

namespace distill::pipeline::html {

namespace {

constexpr std::uint64_t kMostLineBytes = std::uint64_t{64} << 10;
constexpr io::JsonLimits kLineLimits{
    .max_bytes = kMostLineBytes, .max_depth = 8, .max_values = 2048};
constexpr std::size_t kMostNameBytes = 100;
constexpr std::size_t kMostTextBytes = 160;
constexpr std::size_t kMostValues = 16;    // of an event
constexpr std::size_t kMostMeasures = 12;  // of sets

using Members = std::vector<std::pair<std::string, io::JsonValue>>;

std::optional<double> number_of(const io::JsonValue& value) {
  if (const auto* real = std::get_if<double>(&value.storage())) return *real;
  if (const auto* whole = std::get_if<std::int64_t>(&value.storage())) {
    return static_cast<double>(*whole);
  }
  return std::nullopt;
}

std::string text_of(const io::JsonValue& value) {
  struct Text {
    std::string operator()(std::nullptr_t) const { return "not finite"; }
    std::string operator()(bool flag) const { return flag ? "yes" : "no"; }
    std::string operator()(std::int64_t whole) const { return core::with_thousands(whole); }
    std::string operator()(double real) const { return number(real); }
    std::string operator()(const std::string& text) const { return text.substr(0, kMostTextBytes); }
    std::string operator()(const io::JsonArray& list) const {
      std::string text;
      for (const auto& item : list) {
        if (text.size() > kMostTextBytes) return text + ", ...";
        text += (text.empty() ? "" : ", ") + text_of(item);
      }
      return text;
    }
    std::string operator()(const io::JsonObject& object) const {
      std::string text;
      for (const auto& [name, item] : object.members()) {
        if (text.size() > kMostTextBytes) return text + ", ...";
        text += (text.empty() ? "" : ", ") + name.substr(0, kMostNameBytes) + " " + text_of(item);
      }
      return text;
    }
    std::string operator()(const core::JsonNumber& large) const {
      return large.text.substr(0, kMostTextBytes);
    }
  };
  return std::visit(Text{}, value.storage());
}

std::string string_at(const io::JsonObject& line, std::string_view name) {
  const io::JsonValue* value = line.find(name);
  if (value == nullptr || !value->is_string()) return "";
  return std::get<std::string>(value->storage());
}

std::optional<std::int64_t> step_of(const io::JsonObject& line) {
  const io::JsonValue* value = line.find("step");
  if (value == nullptr || !value->is_integer()) return std::nullopt;
  return std::get<std::int64_t>(value->storage());
}

/// Whether a number is drawn under its name.
bool is_drawn(const std::string& name) {
  return name != "step" && name.size() <= kMostNameBytes;
}

class MetricsReader {
 public:
  explicit MetricsReader(RunMetrics& into) : into_(into) {}

  void take(const io::JsonObject& line) {
    const std::string event = string_at(line, "event");
    if (line.find("event") == nullptr) {
      take_step(line.members(), step_of(line));
    } else if (event == "evaluation") {
      take_evaluation(line.members(), step_of(line));
      tell_what_is_not_drawn(event, line);
    } else if (event == "evaluation_set") {
      take_set(line, step_of(line));
      tell_what_is_not_drawn(event, line);
    } else if (event == "teacher_set") {
      // It does not change: the table of results has it.
    } else if (event == "forgetting") {
      take_look(line.members(), step_of(line));
      tell_what_is_not_drawn(event, line);
    } else if (event == "skipped_step") {
      into_.skipped.add(step_of(line).value_or(-1), 0);
    } else {
      take_event(event, line);
    }
  }

 private:
  /// Terms of the loss stand between `loss` and `lr`.
  void take_step(const Members& members, std::optional<std::int64_t> step) {
    bool in_terms = false;
    for (const auto& [name, value] : members) {
      if (name == "lr") in_terms = false;
      if (in_terms && into_.terms.size() < ByName<Curve>::kMost && name.size() <= kMostNameBytes &&
          std::ranges::find(into_.terms, name) == into_.terms.end()) {
        into_.terms.push_back(name);
      }
      if (name == "loss") in_terms = true;
      add(into_.steps, name, value, step);
    }
  }

  void take_evaluation(const Members& members, std::optional<std::int64_t> step) {
    for (const auto& [name, value] : members) {
      if (name != "energy_joules") add(into_.evaluations, name, value, step);
    }
  }

  void take_set(const io::JsonObject& line, std::optional<std::int64_t> step) {
    const std::string set = string_at(line, "set").substr(0, kMostNameBytes);
    for (const auto& [name, value] : line.members()) {
      if (!is_drawn(name) || !number_of(value)) continue;
      auto found =
          std::ranges::find(into_.sets, name, &std::pair<std::string, ByName<Samples>>::first);
      if (found == into_.sets.end()) {
        if (into_.sets.size() == kMostMeasures) continue;
        found = into_.sets.insert(found, {name, ByName<Samples>()});
      }
      add(found->second, set, value, step);
    }
  }

  void take_look(const Members& members, std::optional<std::int64_t> step) {
    constexpr std::string_view kDrop = "drop ";
    for (const auto& [name, value] : members) {
      if (name == "max_drop") into_.max_drop = number_of(value);
      if (name.starts_with(kDrop)) add(into_.drops, name.substr(kDrop.size()), value, step);
    }
  }

  /// A number that is not finite is a gap in a curve, and what was worst of all.
  void tell_what_is_not_drawn(const std::string& event, const io::JsonObject& line) {
    const auto is_null = [](const auto& member) { return member.second.is_null(); };
    if (std::ranges::any_of(line.members(), is_null)) take_event(event, line);
  }

  void take_event(const std::string& name, const io::JsonObject& line) {
    Event event{name.substr(0, kMostNameBytes), step_of(line), {}};
    for (const auto& [key, value] : line.members()) {
      if (key == "event" || key == "step" || event.values.size() == kMostValues) continue;
      event.values.emplace_back(key.substr(0, kMostNameBytes), text_of(value));
    }
    const std::int64_t step = event.step.value_or(-1);
    if (name == "resume") into_.resumed.add(step, 0);
    if (name == "gate" || name == "reaction") into_.decided.add(step, 0);
    if (into_.first_events.size() < RunMetrics::kMostEvents) {
      into_.first_events.push_back(std::move(event));
      return;
    }
    into_.last_events.push_back(std::move(event));
    if (into_.last_events.size() <= RunMetrics::kMostEvents) return;
    into_.last_events.pop_front();
    ++into_.other_events;
  }

  /// A number that is not finite was written as null.
  template <class Kept>
  void add(ByName<Kept>& all, const std::string& name, const io::JsonValue& value,
           std::optional<std::int64_t> step) {
    if (!step || !is_drawn(name)) return;
    const auto real = number_of(value);
    if (!real) {
      if (value.is_null() && name == "loss") into_.skipped.add(*step, 0);
      return;
    }
    if (Kept* kept = all.of(name)) kept->add(*step, *real);
  }

  RunMetrics& into_;
};

}  // namespace

RunMetrics read_run_metrics(const std::filesystem::path& path) {
  RunMetrics metrics;
  MetricsReader reader(metrics);
  io::LineReader lines(path, kMostLineBytes);
  while (const auto line = lines.next()) {
    ++metrics.lines;
    try {
      if (line->too_long) fail<FormatError>("too long");
      const io::JsonValue value = io::parse_json(line->text, "metrics.jsonl", kLineLimits);
      if (!value.is_object()) fail<FormatError>("not an object");
      reader.take(std::get<io::JsonObject>(value.storage()));
    } catch (const FormatError&) {
      if (metrics.bad_lines++ == 0) metrics.first_bad_line = line->number;
    }
  }
  return metrics;
}

}  // namespace distill::pipeline::html
