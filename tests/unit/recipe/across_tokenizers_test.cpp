#include "recipe/across_tokenizers.h"

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/byte_chat.h"
#include "support/byte_tokenizer.h"

namespace distill::recipe {
namespace {

data::Coverage coverage(std::int64_t covered) {
  data::Coverage seen;
  seen.rows = 7;
  seen.targets = 1000;
  seen.covered = covered;
  seen.chunks = 400;
  seen.teacher_tokens = 500;
  seen.runs = 12;
  return seen;
}

TEST(AcrossTokenizers, TooLittleCoverageIsRefusedAndSomeIsWarnedOf) {
  EXPECT_EQ(check_alignment(coverage(900)).result, Check::Result::kGood);
  EXPECT_EQ(check_alignment(coverage(900)).what,
            "90.0 % of the tokens to learn lie in 400 chunks that both tokenizers have (7 rows "
            "looked at; 500 tokens of the teacher)");
  EXPECT_EQ(check_alignment(coverage(899)).result, Check::Result::kWarning);
  EXPECT_EQ(check_alignment(coverage(500)).result, Check::Result::kWarning);
  data::Coverage little = coverage(499);
  little.runs_left_out = 9;
  little.difference = "`Stra` where the teacher's has `stra`";
  const Check check = check_alignment(little);
  EXPECT_EQ(check.result, Check::Result::kError);
  EXPECT_TRUE(check.what.ends_with(
      "; 9 of 12 texts differ: `Stra` where the teacher's has `stra`; expected 50 % at least"))
      << check.what;
  EXPECT_EQ(check_alignment(data::Coverage()).result, Check::Result::kError)
      << "nothing to learn from";
}

TEST(AcrossTokenizers, EachModelNeedsRowsForItsOwnIds) {
  const testing::ByteTokenizer student;
  const testing::ByteTokenizer teacher({.has_eos = true, .adds_bos = true});
  const testing::ByteChat chat;
  const TextSide own{"student", 260, student, &chat};
  const Preflight good = check_text_across(own, {"teacher", 300, teacher, nullptr});
  EXPECT_NO_THROW(require_no_errors(good, true));
  EXPECT_EQ(good.checks[0].what, "260 and 260 ids; texts are compared by bytes");
  const Preflight bad = check_text_across(own, {"teacher", 259, teacher, &chat});
  EXPECT_THROW(require_no_errors(bad, false), ConfigError);
  EXPECT_THROW(require_no_errors(check_text_across({"student", 259, student, &chat}, own), false),
               ConfigError);
  const Preflight served = check_text_across(own, {"served", 0, teacher, &chat});
  EXPECT_NO_THROW(require_no_errors(served, true)) << "its rows are not known";
}

TEST(AcrossTokenizers, AStudentWithoutAnEndIsWarnedOf) {
  const auto warnings = [](bool has_eos) {
    const testing::ByteTokenizer student({.has_eos = has_eos, .adds_bos = false});
    const testing::ByteTokenizer teacher;
    std::string text;
    for (const Check& check :
         check_text_across({"student", 260, student, nullptr}, {"teacher", 260, teacher, nullptr})
             .checks) {
      if (check.result == Check::Result::kWarning) text += check.what;
    }
    return text;
  };
  EXPECT_EQ(warnings(true), "");
  EXPECT_NE(warnings(false).find("the student's tokenizer has no EOS"), std::string::npos);
}

}  // namespace
}  // namespace distill::recipe
