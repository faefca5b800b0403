#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <distill/io/json_value.h>

#include "pipeline/html/numbers.h"

namespace distill::pipeline::html {

/// The ends of an interval that a value is known to lie in.
using Interval = std::pair<double, double>;

/// Of the measure `name` of an object, as `intervals: {NAME: [low, high]}`, `NAME_low` and
/// `NAME_high`, or `interval` and `low` and `high` where there is one measure alone.
std::optional<Interval> interval_of(const io::JsonValue* object, const std::string& name);

/// Whether a member of an object tells of the model, and not of the measuring.
bool is_result(std::string_view name);

/// A measured quantity, of the teacher and of the student before and after. NaN where it was
/// measured and is not finite.
struct Result {
  std::string name;      ///< as in report.json
  std::string set = {};  ///< empty: of `data.eval`
  Measure measure = {};
  std::optional<double> teacher = {}, before = {}, after = {};
  std::optional<Interval> before_interval = {}, after_interval = {};
  std::optional<Interval> change_interval = {};  ///< of after minus before
};

/// `good` or `bad`, where the student changed and it is known which way is better; else empty.
const char* change_kind(const Result& result);

/// All that report.json holds in `before` and `after`, and for named sets of these in `sets`.
std::vector<Result> results(const io::JsonValue& report);

/// A named set's own measurements; null where there are none.
struct SetResults {
  std::string name;
  const io::JsonValue* teacher = nullptr;
  const io::JsonValue* before = nullptr;
  const io::JsonValue* after = nullptr;
  const io::JsonValue* change = nullptr;  ///< after minus before, on the same rows
};
/// In `before.sets` and `after.sets`, or each with `before` and `after` in `sets`; lists of objects
/// with `name`, or objects by name.
std::vector<SetResults> set_results(const io::JsonValue& report);

/// The items of a list of objects with `name` (or `key`), or of an object by name.
std::vector<std::pair<std::string, const io::JsonValue*>> named_items(const io::JsonValue* value,
                                                                      std::string_view key);

}  // namespace distill::pipeline::html
