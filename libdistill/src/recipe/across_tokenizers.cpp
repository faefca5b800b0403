#include "recipe/across_tokenizers.h"

#include <algorithm>
#include <iterator>

#include <distill/core/strings.h>
#include <distill/core/table.h>

namespace distill::recipe {

namespace {

using core::concat;
using core::fixed;
using core::with_thousands;
using Result = Check::Result;

Check check_rows(const TextSide& side) {
  Check check{Result::kGood, "vocabulary", ""};
  const std::int64_t ids = side.tokenizer.vocab_size();
  if (ids > side.vocab_size) {
    check.result = Result::kError;
    check.what = concat(side.folder.string(), ": the tokenizer has ", ids, " ids, the model only ",
                        side.vocab_size, " (`vocab_size` in config.json)");
  } else {
    check.what = concat("the teacher has ", with_thousands(side.vocab_size), " rows for ",
                        with_thousands(ids), " ids");
  }
  return check;
}

Check check_chat(const TextSide& student, const TextSide& teacher) {
  Check check{Result::kGood, "chat template", "", true};
  const auto name = [](const TextSide& side) {
    return side.chat == nullptr ? std::string("none") : side.chat->name();
  };
  check.what = concat("the student's is ", name(student), ", the teacher reads ", name(teacher),
                      "; the assistant's words are compared");
  return check;
}

}  // namespace

bool crosses_tokenizers(const Recipe& recipe) {
  return std::ranges::any_of(recipe.loss.items(),
                             [](const auto& item) { return item.build()->across_tokenizers(); });
}

Preflight check_text_across(const TextSide& student, const TextSide& teacher) {
  Preflight preflight;
  const bool same = student.tokenizer.fingerprint() == teacher.tokenizer.fingerprint();
  preflight.checks.push_back(
      {Result::kGood, "tokenizers",
       concat(same ? "the same, " : "", with_thousands(student.tokenizer.vocab_size()), " and ",
              with_thousands(teacher.tokenizer.vocab_size()),
              " ids; texts are compared by bytes")});
  // What the student needs whoever teaches it, such as an end of text.
  const Preflight own = check_text(student, nullptr, false);
  std::ranges::copy_if(own.checks, std::back_inserter(preflight.checks),
                       [](const Check& check) { return !check.for_conversations; });
  if (teacher.vocab_size > 0) preflight.checks.push_back(check_rows(teacher));
  preflight.checks.push_back(check_chat(student, teacher));
  return preflight;
}

Check check_alignment(const data::Coverage& coverage) {
  Check check{Result::kGood, "alignment", ""};
  check.what = concat(fixed(100 * coverage.share(), 1), " % of the tokens to learn lie in ",
                      with_thousands(coverage.chunks), " chunks that both tokenizers have (",
                      with_thousands(coverage.rows), " rows looked at; ",
                      with_thousands(coverage.teacher_tokens), " tokens of the teacher)");
  if (coverage.runs_left_out > 0) {
    check.what += concat("; ", with_thousands(coverage.runs_left_out), " of ",
                         with_thousands(coverage.runs), " texts differ: ", coverage.difference);
  }
  if (coverage.share() < kLeastCoverage) {
    check.result = Result::kError;
    check.what += concat("; expected ", fixed(100 * kLeastCoverage, 0), " % at least");
  } else if (coverage.share() < kGoodCoverage) {
    check.result = Result::kWarning;
  }
  return check;
}

data::Coverage measure_alignment(const data::Dataset& train) {
  constexpr std::int64_t kRowsLookedAt = 200;
  return train.coverage(kRowsLookedAt);
}

}  // namespace distill::recipe
