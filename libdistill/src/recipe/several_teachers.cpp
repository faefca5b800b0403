#include <distill/recipe/several_teachers.h>

#include <cmath>
#include <set>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/models/load.h>
#include <distill/teachers/local_teacher.h>
#include <distill/teachers/several_teachers.h>

namespace distill::recipe {

using core::concat;

namespace {

std::string name_of(const OneTeacher& teacher) {
  return teacher.name.empty() ? teacher.model : teacher.name;
}

/// A setting that has no effect is a mistake.
void check_used(const SeveralTeachersOptions& options, core::Problems& problems) {
  const std::string by(choice_names(ChooseBy{})[static_cast<std::size_t>(options.by)]);
  for (std::size_t i = 0; i < options.teachers.size(); ++i) {
    const OneTeacher& teacher = options.teachers[i];
    const std::string at = concat("teachers.", i, ".");
    if (options.by != ChooseBy::kWeight && teacher.weight != 1.0) {
      problems.add(at + "weight", concat("counts with `by: weight` only, and it is `", by, "`"));
    }
    if (options.by != ChooseBy::kLabel && !teacher.labels.empty()) {
      problems.add(at + "labels", concat("count with `by: label` only, and it is `", by, "`"));
    }
  }
  if (options.by != ChooseBy::kDifficulty && options.margin != 0.0) {
    problems.add("margin", concat("counts with `by: difficulty` only, and it is `", by, "`"));
  }
}

}  // namespace

void describe(core::FieldVisitor& visit, OneTeacher& teacher) {
  visit.required("model", teacher.model, "Hugging Face folder of the teacher");
  visit("name", teacher.name, "what messages call it; the folder when not given");
  visit("weight", teacher.weight, "with `by: weight`: share of the loss to this teacher");
  visit("labels", teacher.labels,
        "with `by: label`: labels of files or rows of `data` that are its; without, all others");
}

void describe(core::FieldVisitor& visit, SeveralTeachersOptions& options) {
  visit("by", options.by,
        "weight: all teach everything; label: each has its own data; difficulty: the first teacher "
        "who knows a text better than the student does (docs/teachers.md)");
  visit.required("teachers", options.teachers,
                 "two or more, with `by: difficulty` from the cheapest to the largest");
  visit("margin", options.margin,
        "with `by: difficulty`: how much better, in nats a token, a teacher must know a text than "
        "the student; the last is always good enough");
}

void validate(const OneTeacher& teacher, core::Problems& problems) {
  if (teacher.model.empty()) problems.add("model", "must name a folder, it is empty");
  if (!(teacher.weight > 0 && teacher.weight < 1e6)) {
    problems.add("weight", concat("must be above 0 and below 1e6, it is ", teacher.weight));
  }
}

void validate(const SeveralTeachersOptions& options, core::Problems& problems) {
  if (options.teachers.size() < 2) {
    problems.add("teachers", "must list at least two; one alone is `kind: local`");
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < options.teachers.size(); ++i) {
    if (names.insert(name_of(options.teachers[i])).second) continue;
    problems.add(concat("teachers.", i, ".name"),
                 concat("is `", name_of(options.teachers[i]), "`, as an earlier teacher's"));
  }
  if (!std::isfinite(options.margin)) problems.add("margin", "must be a finite number");
  check_used(options, problems);
}

void check_labels(const SeveralTeachersOptions& options, const data::DataOptions& data,
                  core::Problems& problems) {
  if (options.by != ChooseBy::kLabel) return;
  std::set<std::string> of_data, of_teachers;
  bool takes_others = false;
  bool rows_have_labels = false;  // which are known when they are read
  for (const auto* files : {&data.train, &data.eval}) {
    for (const auto& file : *files) {
      rows_have_labels = rows_have_labels || !file.label_field.empty();
      if (file.label_field.empty()) of_data.insert(file.label);
    }
  }
  for (std::size_t i = 0; i < options.teachers.size(); ++i) {
    const auto& labels = options.teachers[i].labels;
    const std::string at = concat("teacher.teachers.", i, ".labels");
    if (labels.empty() && std::exchange(takes_others, true)) {
      problems.add(at, "is not given, nor for an earlier teacher; one at most takes all others");
    }
    for (const auto& label : labels) {
      if (!of_teachers.insert(label).second) {
        problems.add(at, concat("holds `", label, "`, which an earlier teacher has"));
      } else if (!rows_have_labels && !of_data.contains(label)) {
        problems.add(at, concat("holds `", label, "`, which no file of `data` has"));
      }
    }
  }
  if (takes_others) return;
  for (const auto& label : of_data) {
    if (of_teachers.contains(label)) continue;
    problems.add("teacher.teachers", label.empty()
                                         ? concat("leave out files of `data` without a `label`")
                                         : concat("leave out the label `", label, "` of `data`"));
  }
}

void check_row_labels(const SeveralTeachersOptions& options,
                      const std::vector<const data::DataReport*>& read) {
  if (options.by != ChooseBy::kLabel) return;
  std::set<std::string> wanted, seen;
  bool takes_others = false;
  for (const OneTeacher& teacher : options.teachers) {
    takes_others = takes_others || teacher.labels.empty();
    wanted.insert(teacher.labels.begin(), teacher.labels.end());
  }
  const std::vector<std::string> known(wanted.begin(), wanted.end());
  for (const data::DataReport* report : read) {
    for (const data::FileReport& file : report->files) {
      if (file.row_labels.empty()) seen.insert(file.label);
      for (const data::SeenLabel& label : file.row_labels) {
        seen.insert(label.name);
        if (takes_others || wanted.contains(label.name)) continue;
        fail<ConfigError>(file.path, ":", label.line, ": has the label `",
                          core::printable(label.name, 40), "`, which no teacher takes (",
                          core::printable(core::join(known), 80),
                          "); give it to one, or let one be without `labels`: it takes all others");
      }
    }
  }
  for (const std::string& label : wanted) {
    if (seen.contains(label)) continue;
    fail<ConfigError>("teacher.teachers: the label `", core::printable(label, 40),
                      "` is that of no file and no row of `data`");
  }
}

std::unique_ptr<teachers::Teacher> make_several(const SeveralTeachersOptions& options,
                                                const TeacherContext& context) {
  std::vector<teachers::TeacherOfSeveral> all;
  for (const OneTeacher& teacher : options.teachers) {
    models::LoadOptions load;
    load.dtype = dtype_of(context.precision);
    load.device = context.device;
    load.log = &context.log;
    all.push_back(
        {name_of(teacher),
         teachers::make_local_teacher(models::load_causal_lm(teacher.model, load), teacher.model),
         teacher.weight, teacher.labels});
  }
  switch (options.by) {
    case ChooseBy::kWeight:
      return teachers::make_weighted_teachers(std::move(all));
    case ChooseBy::kLabel:
      return teachers::make_labelled_teachers(std::move(all));
    case ChooseBy::kDifficulty:
      break;
  }
  return teachers::make_teachers_by_difficulty(std::move(all), context.student, options.margin);
}

}  // namespace distill::recipe
