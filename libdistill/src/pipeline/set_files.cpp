#include "pipeline/set_files.h"

#include <algorithm>
#include <limits>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/strings.h>
#include <distill/pipeline/report.h>

namespace distill::pipeline {

namespace {

constexpr std::int64_t kFormatVersion = 1;
constexpr io::JsonLimits kLimits{.max_bytes = std::uint64_t{1} << 30,
                                 .max_values = std::uint64_t{1} << 26};

/// What is not finite was written as null.
double number(const io::JsonCursor& value) {
  if (value.value().is_null()) return std::numeric_limits<double>::quiet_NaN();
  return value.as_double();
}

double member(const io::JsonCursor& object, const std::string& name) {
  const auto* value = object.as_object().find(name);
  if (value != nullptr && value->is_null()) return std::numeric_limits<double>::quiet_NaN();
  return object.at(name).as_double();
}

std::int64_t count(const io::JsonCursor& object, std::string_view name) {
  return object.at(name).int_in(0, std::numeric_limits<std::int64_t>::max());
}

eval::SetKind read_kind(const io::JsonCursor& name) {
  const auto names = eval::choice_names(eval::SetKind{});
  const auto found = std::ranges::find(names, name.as_string());
  if (found == names.end()) {
    name.fail(core::concat("is `", core::printable(name.as_string()),
                           "`, expected perplexity, choice, pairs or questions"));
  }
  return static_cast<eval::SetKind>(found - names.begin());
}

void write(core::JsonWriter& json, const eval::SetResult& result) {
  json.begin_object()
      .member("kind",
              std::string(eval::choice_names(result.kind)[static_cast<std::size_t>(result.kind)]))
      .member("cut", result.cut)
      .member("seconds", result.seconds);
  json.key("categories").begin_array();
  for (const auto& name : result.categories) json.value(name);
  json.end_array().key("row_categories").begin_array();
  for (const std::size_t category : result.row_categories) {
    json.value(static_cast<std::int64_t>(category));
  }
  json.end_array().key("rows").begin_array();
  for (const eval::RowValues& row : result.rows) {
    json.begin_array();
    const std::size_t size = eval::num_values(result.kind);
    for (std::size_t i = 0; i < size; ++i) json.value(row[i]);
    json.end_array();
  }
  json.end_array().end_object();
}

eval::RowValues read_row(const io::JsonCursor& row, std::size_t size) {
  if (row.as_array().size() != size) {
    row.fail(core::concat("has ", row.size(), " values, expected ", size));
  }
  eval::RowValues values = {};
  for (std::size_t i = 0; i < size; ++i) values[i] = number(row.at(i));
  return values;
}

eval::SetResult read_result(const io::JsonCursor& object) {
  eval::SetResult result;
  result.kind = read_kind(object.at("kind"));
  result.cut = count(object, "cut");
  result.seconds = member(object, "seconds");
  const io::JsonCursor categories = object.at("categories");
  for (std::size_t i = 0; i < categories.as_array().size(); ++i) {
    result.categories.push_back(categories.at(i).as_string());
  }
  const io::JsonCursor rows = object.at("rows");
  const std::size_t num_rows = rows.as_array().size();
  const io::JsonCursor places = object.at("row_categories");
  const std::size_t expected = result.categories.empty() ? 0 : num_rows;
  if (places.as_array().size() != expected) {
    places.fail(core::concat("has ", places.size(), " entries, expected ", expected));
  }
  const auto last = static_cast<std::int64_t>(result.categories.size()) - 1;
  for (std::size_t i = 0; i < expected; ++i) {
    result.row_categories.push_back(static_cast<std::size_t>(places.at(i).int_in(0, last)));
  }
  const std::size_t size = eval::num_values(result.kind);
  for (std::size_t i = 0; i < num_rows; ++i) result.rows.push_back(read_row(rows.at(i), size));
  return result;
}

std::vector<eval::Estimate> read_figures(const io::JsonCursor& object, eval::SetKind kind) {
  const io::JsonCursor intervals = object.at("intervals");
  std::vector<eval::Estimate> figures;
  for (const auto& [view, worse] : eval::figures_of(kind)) {
    const std::string name(view);
    const io::JsonCursor interval = intervals.at(name);
    if (interval.as_array().size() != 2) interval.fail("must hold two numbers");
    figures.push_back({name, member(object, name), number(interval.at(0)), number(interval.at(1))});
  }
  return figures;
}

}  // namespace

const eval::SetResult* find_set(const SetResults& results, const std::string& name) {
  const auto found = std::ranges::find(results, name, [](const auto& set) { return set.first; });
  return found == results.end() ? nullptr : &found->second;
}

void write_set_results(const std::filesystem::path& path, const SetResults& results) {
  core::JsonWriter json;
  json.begin_object().member("format_version", kFormatVersion).key("sets").begin_object();
  for (const auto& [name, result] : results) write(json.key(name), result);
  json.end_object().end_object();
  core::write_file_atomically(path, json.text() + "\n");
}

SetResults read_set_results(const std::filesystem::path& path) {
  const io::JsonValue value = io::read_json_file(path, kLimits);
  const io::JsonCursor root(value, path.string());
  root.at("format_version").int_in(kFormatVersion, kFormatVersion);
  SetResults results;
  const io::JsonCursor sets = root.at("sets");
  for (const auto& [name, set] : sets.as_object().members()) {
    results.emplace_back(name, read_result(sets.at(name)));
  }
  return results;
}

void check_set_results(const std::filesystem::path& path) {
  read_set_results(path);
}

eval::SetSummary read_summary(const io::JsonCursor& object) {
  eval::SetSummary summary;
  summary.kind = read_kind(object.at("kind"));
  summary.rows = count(object, "rows");
  if (object.has("cut")) summary.cut = count(object, "cut");
  if (object.has("seconds")) summary.seconds = member(object, "seconds");
  summary.figures = read_figures(object, summary.kind);
  if (!object.has("categories")) return summary;
  const io::JsonCursor categories = object.at("categories");
  for (const auto& [name, category] : categories.as_object().members()) {
    const io::JsonCursor own = categories.at(name);
    summary.categories.push_back({name, count(own, "rows"), read_figures(own, summary.kind)});
  }
  return summary;
}

}  // namespace distill::pipeline
