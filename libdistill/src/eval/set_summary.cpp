#include <distill/eval/set_summary.h>

#include <cmath>
#include <limits>

namespace distill::eval {

namespace {

void write_figures(core::JsonWriter& json, const std::vector<Estimate>& figures) {
  for (const Estimate& figure : figures) json.member(figure.name, figure.value);
  json.key("intervals").begin_object();
  for (const Estimate& figure : figures) {
    json.key(figure.name).begin_array().value(figure.low).value(figure.high).end_array();
  }
  json.end_object();
}

}  // namespace

double SetSummary::value(std::string_view figure) const {
  for (const Estimate& estimate : figures) {
    if (estimate.name == figure) return estimate.value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

SetSummary summarise(const SetResult& result) {
  SetSummary summary;
  summary.kind = result.kind;
  summary.rows = std::ssize(result.rows);
  summary.cut = result.cut;
  summary.seconds = result.seconds;
  summary.figures = estimates(result);
  summary.categories = estimates_by_category(result);
  return summary;
}

SetSummary compare(const SetResult& one, const SetResult& other) {
  SetSummary summary;
  summary.kind = one.kind;
  summary.rows = std::ssize(one.rows);
  summary.figures = differences(one, other);
  summary.categories = differences_by_category(one, other);
  return summary;
}

void write_members(core::JsonWriter& json, const SetSummary& summary) {
  json.member("kind", std::string(choice_names(SetKind{})[static_cast<std::size_t>(summary.kind)]))
      .member("rows", summary.rows);
  if (summary.cut > 0) json.member("cut", summary.cut);
  if (summary.seconds > 0) json.member("seconds", summary.seconds);
  write_figures(json, summary.figures);
  if (summary.categories.empty()) return;
  json.key("categories").begin_object();
  for (const CategoryEstimates& category : summary.categories) {
    json.key(category.name).begin_object().member("rows", category.rows);
    write_figures(json, category.figures);
    json.end_object();
  }
  json.end_object();
}

}  // namespace distill::eval
