#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/describe.h>
#include <distill/data/options.h>
#include <distill/data/report.h>
#include <distill/recipe/registries.h>
#include <distill/teachers/teacher.h>

namespace distill::recipe {

/// Which of several teachers speaks of a segment.
enum class ChooseBy { kWeight, kLabel, kDifficulty };
constexpr std::array<std::string_view, 3> choice_names(ChooseBy) {
  return {"weight", "label", "difficulty"};
}

struct OneTeacher {
  std::string model;                     ///< Hugging Face folder
  std::string name = {};                 ///< for messages; empty: the folder
  double weight = 1.0;                   ///< by weight: of the loss to it
  std::vector<std::string> labels = {};  ///< by label: of `data.train`; empty: all others
};

/// `kind: several`: models in this process, with the student's tokenizer.
struct SeveralTeachersOptions {
  ChooseBy by = ChooseBy::kWeight;
  std::vector<OneTeacher> teachers;  ///< by difficulty from the cheapest to the largest
  double margin = 0.0;               ///< by difficulty: nats a token
};

void describe(core::FieldVisitor& visit, OneTeacher& teacher);
void describe(core::FieldVisitor& visit, SeveralTeachersOptions& options);
void validate(const OneTeacher& teacher, core::Problems& problems);
void validate(const SeveralTeachersOptions& options, core::Problems& problems);

/// Labels that belong to no file or to no teacher.
void check_labels(const SeveralTeachersOptions& options, const data::DataOptions& data,
                  core::Problems& problems);

/// The same of labels that rows have (data::DataFile::label_field), as far as `read` shows them:
/// what was read of `data`. Throws ConfigError naming a row, or a teacher.
void check_row_labels(const SeveralTeachersOptions& options,
                      const std::vector<const data::DataReport*>& read);

/// Reads the weights of all. Throws as models::load_causal_lm does.
std::unique_ptr<teachers::Teacher> make_several(const SeveralTeachersOptions& options,
                                                const TeacherContext& context);

}  // namespace distill::recipe
