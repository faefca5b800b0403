#include <algorithm>
#include <cmath>

#include <distill/core/strings.h>
#include <distill/core/table.h>

#include "pipeline/html/look_up.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/numbers.h"
#include "pipeline/html/sections.h"

namespace distill::pipeline::html {

namespace {

using core::concat;

std::string tile(const std::string& title, const std::string& value, const std::string& below) {
  return concat("<div class=\"tile\"><h3>", title, "</h3><strong>", value, "</strong>",
                below.empty() ? "" : concat("<p>", below, "</p>"), "</div>\n");
}

/// Watt-hours: what a meter shows.
std::string energy(double joules) {
  const double hours = joules / 3600;
  return hours >= 1000 ? concat(number(hours / 1000), " kWh") : concat(number(hours), " Wh");
}

std::string energy_tile(const RunRecord& record) {
  const auto joules = number_at(&record.report, {"energy_joules"});
  if (!joules || !(*joules > 0)) return "";
  std::string below = number(*joules) + " J of the processor packages, all of the machine's";
  const auto tokens = number_at(&record.report, {"tokens"});
  if (tokens && *tokens > 0) {
    below += concat("; ", number(1000 * *joules / *tokens), " J for 1,000 tokens");
  }
  return tile("Energy", energy(*joules), below);
}

/// What a gate had repeated took.
std::string earlier_attempts(const RunRecord& record) {
  const auto seconds = number_at(&record.report, {"earlier_attempts", "seconds"});
  const auto tokens = number_at(&record.report, {"earlier_attempts", "tokens"});
  if (!seconds || !tokens) return "";
  return concat(core::human_seconds(*seconds), " and ", number(*tokens), " tokens before it");
}

std::string tiles(const RunRecord& record) {
  const io::JsonValue* report = &record.report;
  std::string out;
  const std::string earlier = earlier_attempts(record);
  if (const auto seconds = number_at(report, {"seconds"})) {
    out += tile("Training", core::human_seconds(*seconds),
                earlier.empty() ? "all parts of the run together"
                                : concat("of the attempt that counts; ", earlier));
  }
  if (const auto tokens = number_at(report, {"tokens"})) {
    const auto steps = number_at(report, {"steps"});
    const auto skipped = number_at(report, {"skipped_steps"});
    std::string below = steps ? number(*steps) + " steps" : "";
    if (skipped && *skipped > 0) below += ", " + number(*skipped) + " of them skipped";
    out += tile("Tokens", number(*tokens), below);
  }
  if (const auto rate = number_at(report, {"tokens_per_second"})) {
    out += tile("Speed", number(std::round(*rate)), "tokens a second");
  }
  const auto peak = number_at(report, {"peak_memory_bytes"});
  if (peak && *peak >= 0 && *peak < 1e18) {
    out += tile("Peak memory", core::human_bytes(static_cast<std::uint64_t>(*peak)),
                "of the last process");
  }
  out += energy_tile(record);
  return out.empty() ? "" : "<div class=\"tiles\">\n" + out + "</div>\n";
}

double sum_of(const RunRecord& record, std::string_view name) {
  const Curve* curve = record.metrics.steps.find(name);
  return curve == nullptr ? 0 : std::max(curve->sum(), 0.0);
}

/// Where the steps' time went: one bar of three parts.
std::string time_bar(const RunRecord& record) {
  const auto seconds = number_at(&record.report, {"seconds"});
  const double teacher = sum_of(record, "teacher_seconds");
  const double data = sum_of(record, "data_seconds");
  if (!seconds || !(*seconds > 0) || teacher + data > *seconds) return "";
  struct Part {
    const char* name;
    double seconds;
  };
  const Part parts[] = {{"student, loss and optimizer", *seconds - teacher - data},
                        {"teacher", teacher},
                        {"waiting for data", data}};
  std::string bar;
  std::string legend;
  std::string words;
  int colour = 0;
  for (const auto& part : parts) {
    const double share = 100 * part.seconds / *seconds;
    const std::string percent = core::fixed(share, 1);
    bar += concat("<span class=\"s", colour, "\" style=\"width:", core::fixed(share, 2),
                  "%\"></span>");
    legend +=
        concat("<li><i class=\"s", colour++, "\"></i>", part.name, " <b>", percent, " %</b></li>");
    words += concat(words.empty() ? "" : ", ", part.name, " ", percent, " %");
  }
  return concat("<figure class=\"card\"><figcaption><h3>Where the time went</h3></figcaption>",
                "<ul class=\"legend\">", legend,
                "</ul><div class=\"parts\" role=\"img\" "
                "aria-label=\"",
                words, "\">", bar, "</div></figure>\n");
}

}  // namespace

std::string cost_section(const RunRecord& record) {
  return section("Cost", tiles(record) + time_bar(record));
}

}  // namespace distill::pipeline::html
