#include "commands/set_table.h"

#include <cstdint>
#include <utility>

#include <distill/core/strings.h>
#include <distill/core/table.h>

namespace distill::commands {

namespace {

using eval::CategoryEstimates;
using eval::Estimate;
using eval::SetKind;
using eval::SetSummary;

using Row = std::vector<std::string>;

/// Samples of fewer rows are too much alike for the bootstrap.
constexpr std::int64_t kFewRows = 30;

/// The figure that is shown by category.
std::string main_figure(SetKind kind) {
  if (kind == SetKind::kQuestions) return "bias_score";
  return std::string(eval::figures_of(kind).front().name);
}

const Estimate& named(const std::vector<Estimate>& figures, const std::string& name) {
  for (const Estimate& figure : figures) {
    if (figure.name == name) return figure;
  }
  return figures.front();
}

/// Student, teacher and difference side by side.
void add_cells(Row& row, const Estimate& student, const Estimate* teacher,
               const Estimate* difference) {
  row.push_back(eval::estimate_text(student));
  if (teacher != nullptr) row.push_back(eval::estimate_text(*teacher));
  if (difference != nullptr) row.push_back(eval::estimate_text(*difference, /*sign=*/true));
}

Row head(const SetComparison& sets, std::string first) {
  Row row = {std::move(first), "student"};
  if (sets.teacher) row.emplace_back("teacher");
  if (sets.difference) row.emplace_back("student - teacher");
  return row;
}

std::string figures_table(const SetComparison& sets) {
  core::Table table;
  table.add(head(sets, ""));
  for (std::size_t i = 0; i < sets.student.figures.size(); ++i) {
    const Estimate& figure = sets.student.figures[i];
    Row row = {eval::title_of(figure.name)};
    add_cells(row, figure, sets.teacher ? &sets.teacher->figures[i] : nullptr,
              sets.difference ? &sets.difference->figures[i] : nullptr);
    table.add(std::move(row));
  }
  return table.text("  ");
}

std::string category_table(const SetComparison& sets) {
  const std::string figure = main_figure(sets.student.kind);
  core::Table table;
  Row first = head(sets, eval::title_of(figure));
  first.insert(first.begin() + 1, "rows");
  table.add(std::move(first));
  for (std::size_t i = 0; i < sets.student.categories.size(); ++i) {
    const CategoryEstimates& category = sets.student.categories[i];
    const auto of = [&](const std::optional<SetSummary>& summary) {
      return summary ? &named(summary->categories[i].figures, figure) : nullptr;
    };
    Row row = {category.name, core::with_thousands(category.rows)};
    add_cells(row, named(category.figures, figure), of(sets.teacher), of(sets.difference));
    table.add(std::move(row));
  }
  return table.text("  ");
}

std::string few_rows_note(const SetComparison& sets) {
  const bool sampled = sets.difference || sets.student.kind == SetKind::kQuestions;
  return core::concat("  so few rows say little",
                      sampled ? "; intervals of differences and bias scores are too narrow" : "",
                      "\n");
}

}  // namespace

std::string set_table(const SetComparison& sets) {
  std::string text = figures_table(sets);
  if (!sets.student.categories.empty()) text += "\n" + category_table(sets);
  const std::int64_t rows = sets.student.rows;
  text += core::concat("\n  ", core::with_thousands(rows), rows == 1 ? " row" : " rows",
                       "; in brackets 95 % intervals");
  if (sets.difference) text += ", of differences over the same rows";
  text += "\n";
  if (rows < kFewRows) text += few_rows_note(sets);
  if (sets.student.cut > 0) {
    text += core::concat("  ", core::with_thousands(sets.student.cut),
                         " rows lost the beginning of their context to fit the model\n");
  }
  return text;
}

std::string set_json(const SetComparison& sets) {
  core::JsonWriter json;
  json.begin_object();
  eval::write_members(json, sets.student);
  const auto other = [&json](const char* name, const std::optional<SetSummary>& summary) {
    if (!summary) return;
    json.key(name).begin_object();
    eval::write_members(json, *summary);
    json.end_object();
  };
  other("teacher", sets.teacher);
  other("difference", sets.difference);
  return json.end_object().text() + "\n";
}

}  // namespace distill::commands
