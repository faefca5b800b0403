#include <algorithm>

#include <distill/core/strings.h>
#include <distill/core/table.h>

#include "pipeline/html/look_up.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/results.h"
#include "pipeline/html/sections.h"

namespace distill::pipeline::html {

namespace {

using core::concat;

std::string cell(const std::string& text, const std::string& kind = "") {
  return concat("<td", kind.empty() ? "" : " class=\"" + kind + "\"", '>', text, "</td>");
}

std::string row(const std::string& title, const std::vector<std::string>& cells) {
  std::string out = concat("<tr><th scope=\"row\">", title, "</th>");
  for (const auto& text : cells) out += text;
  return out + "</tr>\n";
}

std::string value(const std::optional<double>& held, Unit unit) {
  return held ? number(*held, unit) : "&ndash;";
}

/// Below a value.
std::string interval(const std::optional<Interval>& ends, Unit unit) {
  if (!ends) return "";
  return concat("<small>", number(ends->first, unit), " to ", number(ends->second, unit),
                "</small>");
}

std::string change_cell(const Result& result) {
  if (!result.before || !result.after) return cell("");
  const std::string kind = concat("change ", change_kind(result));
  const Unit unit = result.measure.unit;
  std::string text = change(*result.before, *result.after, unit);
  if (const auto& ends = result.change_interval) {
    text += concat("<small>", change_interval(ends->first, ends->second, unit), "</small>");
  }
  return cell(text, kind);
}

bool has_teacher(const RunRecord& record, const std::vector<Result>& all) {
  return find(&record.report, {"teacher"}) != nullptr ||
         std::ranges::any_of(all, [](const Result& r) { return r.teacher.has_value(); });
}

std::string result_rows(const std::vector<Result>& all, bool teacher) {
  std::string out;
  for (const auto& result : all) {
    const Unit unit = result.measure.unit;
    std::vector<std::string> cells;
    if (teacher) cells.push_back(cell(value(result.teacher, unit)));
    cells.push_back(cell(value(result.before, unit) + interval(result.before_interval, unit)));
    cells.push_back(
        cell(value(result.after, unit) + interval(result.after_interval, unit), "main"));
    cells.push_back(change_cell(result));
    const std::string set =
        result.set.empty() ? "" : concat("<span class=\"set\">", escaped(result.set), "</span> ");
    out += row(set + escaped(result.measure.title), cells);
  }
  return out;
}

std::string millions(const std::optional<double>& count) {
  if (!count) return "&ndash;";
  return *count < 1e6 ? number(*count) : core::fixed(*count / 1e6, 1) + " M";
}

std::string bytes(const std::optional<double>& size) {
  if (!size || *size < 0 || *size >= 1e18) return "&ndash;";
  return core::human_bytes(static_cast<std::uint64_t>(*size));
}

/// What training does not change.
std::string size_rows(const RunRecord& record, bool teacher) {
  std::string out;
  const auto add = [&](const char* title, std::string_view member, const auto& text) {
    const auto student = number_at(&record.report, {"student", member});
    if (!student) return;
    std::vector<std::string> cells;
    if (teacher) cells.push_back(cell(text(number_at(&record.report, {"teacher", member}))));
    cells.push_back(cell(text(student)));
    cells.push_back(cell(text(student)));
    cells.push_back(cell(""));
    out += row(title, cells);
  };
  add("Parameters", "parameters", millions);
  add("Weights", "bytes", bytes);
  return out;
}

std::string fact(const std::string& name, const std::string& text) {
  return text.empty() ? "" : concat("<dt>", name, "</dt><dd>", text, "</dd>\n");
}

std::string model_fact(const RunRecord& record, std::string_view which) {
  const std::string path = text_at(&record.manifest, {which, "path"});
  std::string text = path.empty() ? "" : concat("<b>", escaped(short_path(path)), "</b>");
  const io::JsonValue* layers = find(&record.manifest, {which, "layers"});
  if (layers != nullptr && layers->is_array()) {
    const auto& list = std::get<io::JsonArray>(layers->storage());
    if (!list.empty()) text += concat(text.empty() ? "" : ", ", list.size(), " layers");
  }
  const auto parameters = number_at(&record.report, {which, "parameters"});
  if (parameters) text += concat(text.empty() ? "" : ", ", millions(parameters), " parameters");
  return text;
}

/// Of a run of several stages.
std::string stage_fact(const RunRecord& record) {
  const std::string stage = text_at(&record.report, {"measured_stage"});
  return stage.empty() ? "" : concat("of <b>", escaped(stage), "</b>, the last stage that trained");
}

std::string trained_fact(const RunRecord& record) {
  const auto trained = number_at(&record.report, {"trained_parameters"});
  const auto all = number_at(&record.report, {"student", "parameters"});
  if (!trained || !all || !(*all > 0) || !(*trained > 0) || *trained == *all) return "";
  return concat(number(*trained), " parameters, ", core::fixed(100 * *trained / *all, 2),
                " % of the student's");
}

std::string data_fact(const RunRecord& record, std::string_view part) {
  constexpr std::size_t kMostNames = 4;
  std::vector<std::string> names;
  const auto& files = members_of(find(&record.manifest, {"data", part, "files"}));
  for (const auto& [path, hash] : files) {
    if (names.size() < kMostNames) names.push_back(escaped(short_path(path)));
  }
  if (files.size() > names.size()) names.push_back(concat(files.size() - names.size(), " more"));
  std::string text = core::join(names);
  if (const auto rows = number_at(&record.manifest, {"data", part, "rows"})) {
    text += concat(text.empty() ? "" : ": ", number(*rows), " rows");
  }
  if (const auto tokens = number_at(&record.manifest, {"data", part, "tokens"})) {
    text += concat(text.empty() ? "" : ", ", number(*tokens), " tokens");
  }
  return text;
}

std::string code_fact(const RunRecord& record) {
  std::string text;
  const std::string distill = text_at(&record.manifest, {"versions", "distill"});
  const std::string torch = text_at(&record.manifest, {"versions", "libtorch"});
  if (!distill.empty()) text = "libdistill " + escaped(distill);
  if (!torch.empty()) text += (text.empty() ? "" : ", ") + ("LibTorch " + escaped(torch));
  if (const auto seed = number_at(&record.manifest, {"seed"})) {
    text += concat(text.empty() ? "" : ", ", "seed ", number(*seed));
  }
  return text;
}

}  // namespace

std::string short_path(const std::string& path) {
  const std::size_t last = path.find_last_not_of('/');
  const std::string whole = path.substr(0, last == std::string::npos ? 0 : last + 1);
  const std::size_t slash = whole.rfind('/');
  return slash == std::string::npos ? whole : whole.substr(slash + 1);
}

std::string results_section(const RunRecord& record) {
  const auto all = results(record.report);
  const bool teacher = has_teacher(record, all);
  const std::string rows = result_rows(all, teacher) + size_rows(record, teacher);
  std::string out;
  if (!rows.empty()) {
    out = concat("<div class=\"card scroll\"><table>\n<thead><tr><td></td>",
                 teacher ? "<th scope=\"col\">Teacher</th>" : "",
                 "<th scope=\"col\">Before</th><th scope=\"col\">After</th><th "
                 "scope=\"col\">Change</th></tr></thead>\n<tbody>\n",
                 rows, "</tbody></table></div>\n");
  }
  const std::string facts =
      fact("Figures", stage_fact(record)) + fact("Student", model_fact(record, "student")) +
      fact("Trained", trained_fact(record)) + fact("Teacher", model_fact(record, "teacher")) +
      fact("Data", data_fact(record, "train")) + fact("Held out", data_fact(record, "eval")) +
      fact("Code", code_fact(record));
  if (!facts.empty()) out += "<dl class=\"card\">\n" + facts + "</dl>\n";
  if (out.empty()) return "";
  // Sets have intervals, which need room.
  const bool wide = std::ranges::any_of(all, [](const Result& r) { return !r.set.empty(); });
  return section(rows.empty() ? "What it is made from" : "Before and after",
                 concat("<div class=\"", wide ? "stack" : "pair", "\">\n", out, "</div>\n"));
}

}  // namespace distill::pipeline::html
