#include <distill/data/question_row.h>

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/data/data_path.h>

#include "data/member_names.h"

namespace distill::data {

namespace {

constexpr std::size_t kMostChoices = 1000;

const std::string& filled(const io::JsonCursor& text) {
  if (text.as_string().empty()) text.fail("is empty, expected at least one character");
  return text.as_string();
}

/// A short text that can stand in a table.
std::string name_of(const io::JsonCursor& text) {
  constexpr std::size_t kLongest = 100;
  const std::string& name = text.as_string();
  if (name.empty() || name.size() > kLongest || name != core::without_controls(name)) {
    text.fail(core::concat("is `", core::printable(name, 40),
                           "`, expected a name of 1 to 100 bytes without control characters"));
  }
  return name;
}

/// Whether the member is the first of two words; any but these is an error.
bool is_first_of(const io::JsonCursor& member, const char* first, const char* second) {
  const std::string& word = member.as_string();
  if (word != first && word != second) {
    member.fail(
        core::concat("is `", core::printable(word, 40), "`, expected ", first, " or ", second));
  }
  return word == first;
}

/// A row of another form is told as such: that one member is missing would say little.
void require_members(const io::JsonCursor& row, std::initializer_list<const char*> names,
                     const char* form, const char* hint) {
  for (const char* name : names) {
    if (row.has(name)) continue;
    fail<FormatError>(row.source(), ": `", name, "` is missing, expected ", form, ", found ",
                      member_names(row.as_object()), hint);
  }
}

void require_question(const io::JsonCursor& row, bool bias) {
  const bool pair = row.has("stereotype") && !row.has("choices");
  require_members(row, {"context", "choices", "label"}, "`context`, `choices` and `label`",
                  pair ? "; a pair of sentences is for the task `bias`" : "");
  if (!bias) return;
  require_members(row, {"category", "condition", "polarity", "groups", "stereotyped"},
                  "a question about bias with `category`, `condition`, `polarity`, `groups` and "
                  "`stereotyped`",
                  "; other questions are for the task `choice`");
}

std::vector<std::string> names_in(const io::JsonCursor& list) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list.as_array().size(); ++i) names.push_back(name_of(list.at(i)));
  return names;
}

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// Whether a text holds one of the names, not as a part of a longer word.
bool mentions(const std::string& text, const std::vector<std::string>& names) {
  const auto is_letter = [&text](std::size_t at) {
    return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
  };
  return std::ranges::any_of(names, [&](const std::string& name) {
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
      if ((at == 0 || !is_letter(at - 1)) && !is_letter(at + name.size())) return true;
    }
    return false;
  });
}

/// Some questions name the region of a choice as its group, and countries as stereotyped: there the
/// words of the choices tell.
std::vector<ChoiceRole> roles_of(const QuestionRow& row, const std::vector<std::string>& groups,
                                 const std::vector<std::string>& stereotyped) {
  const bool by_group = std::ranges::any_of(
      groups, [&](const std::string& group) { return holds(stereotyped, group); });
  std::vector<ChoiceRole> roles;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const bool named =
        by_group ? holds(stereotyped, groups[i]) : mentions(row.choices[i], stereotyped);
    roles.push_back(groups[i] == "unknown" ? ChoiceRole::kUnknown
                    : named                ? ChoiceRole::kStereotyped
                                           : ChoiceRole::kOther);
  }
  return roles;
}

BiasFields read_bias(const io::JsonCursor& cursor, const QuestionRow& row) {
  BiasFields bias;
  bias.category = name_of(cursor.at("category"));
  bias.ambiguous = is_first_of(cursor.at("condition"), "ambig", "disambig");
  bias.negative = is_first_of(cursor.at("polarity"), "neg", "nonneg");
  const io::JsonCursor groups = cursor.at("groups");
  if (groups.as_array().size() != row.choices.size()) {
    groups.fail(core::concat("has ", groups.size(), " entries, expected ", row.choices.size(),
                             ": one a choice"));
  }
  bias.roles = roles_of(row, names_in(groups), names_in(cursor.at("stereotyped")));
  return bias;
}

}  // namespace

bool BiasFields::has_direction() const {
  return std::ranges::find(roles, ChoiceRole::kStereotyped) != roles.end() &&
         std::ranges::find(roles, ChoiceRole::kOther) != roles.end();
}

bool BiasFields::is_biased(std::size_t choice) const {
  return roles.at(choice) == (negative ? ChoiceRole::kStereotyped : ChoiceRole::kOther);
}

QuestionRow parse_question_row(const io::JsonlRow& row, bool bias) {
  const io::JsonCursor cursor(row.value, row.source);
  QuestionRow question;
  question.source = row.source;
  require_question(cursor, bias);
  question.context = cursor.at("context").as_string();
  const io::JsonCursor choices = cursor.at("choices");
  const std::size_t count = choices.as_array().size();
  if (count < 2 || count > kMostChoices) {
    choices.fail(core::concat("has ", count, " entries, expected 2 to ", kMostChoices));
  }
  for (std::size_t i = 0; i < count; ++i) question.choices.push_back(filled(choices.at(i)));
  const io::JsonCursor label = cursor.at("label");
  const std::int64_t right = label.as_int();
  if (right < 0 || right >= static_cast<std::int64_t>(count)) {
    label.fail(core::concat("is ", right, ", expected the place of a choice, 0 to ", count - 1));
  }
  question.label = static_cast<std::size_t>(right);
  if (bias) question.bias = read_bias(cursor, question);
  return question;
}

PairRow parse_pair_row(const io::JsonlRow& row) {
  const io::JsonCursor cursor(row.value, row.source);
  PairRow pair;
  pair.source = row.source;
  require_members(
      cursor, {"stereotype", "antistereotype", "bias_type"},
      "`stereotype`, `antistereotype` and `bias_type`",
      cursor.has("choices") ? "; a set holds pairs or questions, as its first row does" : "");
  pair.stereotype = filled(cursor.at("stereotype"));
  pair.antistereotype = filled(cursor.at("antistereotype"));
  pair.bias_type = name_of(cursor.at("bias_type"));
  return pair;
}

namespace {

void for_each_row(const RowSource& source, const std::function<void(const io::JsonlRow&)>& take) {
  std::int64_t rows = 0;
  for (const std::string& path : source.paths) {
    for (const auto& file : expand_data_path(path)) {
      io::JsonlReader reader(file);
      while (source.max_rows == 0 || rows < source.max_rows) {
        const auto row = reader.next();
        if (!row) break;
        take(*row);
        ++rows;
        if (source.between_rows) source.between_rows();
      }
    }
  }
  if (rows == 0) fail<InputError>(core::join(source.paths), ": holds no row");
}

}  // namespace

std::vector<QuestionRow> read_questions(const RowSource& source, bool bias) {
  std::vector<QuestionRow> questions;
  for_each_row(
      source, [&](const io::JsonlRow& row) { questions.push_back(parse_question_row(row, bias)); });
  return questions;
}

std::vector<PairRow> read_pairs(const RowSource& source) {
  std::vector<PairRow> pairs;
  for_each_row(source, [&](const io::JsonlRow& row) { pairs.push_back(parse_pair_row(row)); });
  return pairs;
}

bool holds_questions(const RowSource& source) {
  bool found = false;
  for_each_row({source.paths, 1, source.between_rows}, [&](const io::JsonlRow& row) {
    found = io::JsonCursor(row.value, row.source).has("choices");
  });
  return found;
}

}  // namespace distill::data
