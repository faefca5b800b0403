#include <distill/text/alignment.h>

#include <gtest/gtest.h>

namespace distill::text {
namespace {

/// Tokens written down: `<...>` is special, a leading `*` says that it is to be learned.
std::vector<AlignedToken> tokens(const std::vector<std::string_view>& written) {
  std::vector<AlignedToken> result;
  for (std::string_view token : written) {
    const bool target = token.starts_with('*');
    if (target) token.remove_prefix(1);
    const bool special = token.starts_with('<');
    result.push_back({special ? std::string_view() : token, special, target});
  }
  return result;
}

TokenAlignment align(const std::vector<std::string_view>& student,
                     const std::vector<std::string_view>& teacher) {
  return align_tokens(tokens(student), tokens(teacher));
}

using Chunks = std::vector<TokenChunk>;

TEST(Alignment, ChunksAreTheShortestRunsWithCommonBorders) {
  const auto found = align({"*Hel", "*lo", "* wor", "*ld", "*!", "*<eos>"},
                           {"*Hello", "* w", "*o", "*rld", "*!", "*<end>"});
  EXPECT_EQ(
      found.chunks,
      (Chunks{{0, 2, 0, 1, true}, {2, 4, 1, 4, true}, {4, 5, 4, 5, true}, {5, 6, 5, 6, true}}));
  EXPECT_EQ(found.runs, 1);
  EXPECT_EQ(found.runs_left_out, 0);
}

TEST(Alignment, TheSameTokensAreAChunkEach) {
  const std::vector<std::string_view> same = {"*<bos>", "*a", "*b", "*c", "*<eos>"};
  EXPECT_EQ(
      align(same, same).chunks,
      (Chunks{{1, 2, 1, 2, true}, {2, 3, 2, 3, true}, {3, 4, 3, 4, true}, {4, 5, 4, 5, true}}));
}

TEST(Alignment, TokensMaySplitCharacters) {
  // The three bytes of a character, and the next one whole.
  const auto found =
      align({"*\xe4\xbb", "*\x8a\xe5", "*\xa4\xa9"}, {"*\xe4\xbb\x8a", "*\xe5\xa4\xa9"});
  EXPECT_EQ(found.chunks, (Chunks{{0, 3, 0, 2, true}}));
}

TEST(Alignment, ABosOfOneSideIsNoMatter) {
  const auto found = align({"*a", "*b"}, {"*<bos>", "*a", "*b", "*<eos>"});
  EXPECT_EQ(found.chunks, (Chunks{{0, 1, 1, 2, true}, {1, 2, 2, 3, true}}));
}

TEST(Alignment, ADummyPrefixBelongsToTheFirstWord) {
  EXPECT_EQ(align({"* Hello", "* you"}, {"*He", "*llo", "* you"}).chunks,
            (Chunks{{0, 1, 0, 2, true}, {1, 2, 2, 3, true}}));
  EXPECT_EQ(align({"* ", "*x", "*y"}, {"*x", "*y"}).chunks,
            (Chunks{{1, 2, 0, 1, true}, {2, 3, 1, 2, true}}))
      << "a token of blanks alone is in no chunk";
}

TEST(Alignment, WhatTemplatesLeaveAtTheEndIsLeftOut) {
  const auto found =
      align({"[user]", "q", "*4", "* \n", "*<end>"}, {"<user>", "q", "*4", "*<eot>"});
  EXPECT_EQ(found.chunks, (Chunks{{2, 3, 2, 3, true}})) << "the ends follow other texts";
  EXPECT_EQ(found.runs_left_out, 0);
}

TEST(Alignment, OfConversationsOnlyWhatIsLearnedIsCompared) {
  const auto found = align(
      {"<u>", "Hi", "<e>", "<a>", "*yes", "*<e>", "<u>", "a", "b", "<e>", "<a>", "*no", "*<e>"},
      {"[", "user", "]", "Hi", "*y", "*es", "*<end>", "[u]", "ab", "*no", "*<end>"});
  EXPECT_EQ(
      found.chunks,
      (Chunks{
          {4, 5, 4, 6, true}, {5, 6, 6, 7, true}, {11, 12, 9, 10, true}, {12, 13, 10, 11, true}}));
  EXPECT_EQ(found.runs, 2);
}

/// A teacher without a template reads the student's, whose special tokens are text to it.
TEST(Alignment, ASpecialTokenThatIsTextToTheOtherEndsATurn) {
  const std::vector<AlignedToken> student = {
      {"<|s|>", true, false}, {"yes", false, true}, {" sir ", false, true}, {"<|e|>", true, true}};
  const std::vector<AlignedToken> teacher = {
      {"<|s|>", false, false}, {"ye", false, true}, {"s", false, true},  {" s", false, true},
      {"ir ", false, true},    {"<|", false, true}, {"e|>", false, true}};
  const Chunks expected = {{1, 2, 1, 3, true}, {2, 3, 3, 5, true}};
  const auto found = align_tokens(student, teacher);
  EXPECT_EQ(found.chunks, expected);
  EXPECT_EQ(found.runs_left_out, 0) << found.difference;
  Chunks turned;
  for (const auto& chunk : align_tokens(teacher, student).chunks) {
    turned.push_back({chunk.teacher_begin, chunk.teacher_end, chunk.student_begin,
                      chunk.student_end, chunk.target});
  }
  EXPECT_EQ(turned, expected);
  // A token across the end leaves the last chunk open.
  std::vector<AlignedToken> across = teacher;
  across[4].bytes = "ir <";
  across[5].bytes = "|";
  EXPECT_EQ(align_tokens(student, across).chunks, (Chunks{{1, 2, 1, 3, true}}));
  // What comes before it must be the same.
  across[3].bytes = " S";
  EXPECT_EQ(align_tokens(student, across).runs_left_out, 1);
}

TEST(Alignment, RunsThatDifferAreLeftOutAndTold) {
  const auto found = align({"<a>", "*one", "*<e>", "<a>", "*straße", "*<e>"},
                           {"<a>", "*one", "*<e>", "<a>", "*strasse", "*<e>"});
  EXPECT_EQ(found.chunks, (Chunks{{1, 2, 1, 2, true}, {2, 3, 2, 3, true}}));
  EXPECT_EQ(found.runs, 2);
  EXPECT_EQ(found.runs_left_out, 1);
  EXPECT_NE(found.difference.find("where the teacher's has"), std::string::npos);
}

TEST(Alignment, OtherNumbersOfTextsCannotBePaired) {
  const auto found = align({"<a>", "*x", "<a>", "*y"}, {"<a>", "*x", "b"});
  EXPECT_TRUE(found.chunks.empty());
  EXPECT_EQ(found.runs_left_out, 2);
  EXPECT_EQ(found.difference, "2 texts to learn where the teacher's has 1");
}

TEST(Alignment, ChunksAcrossTheEndOfAPromptAreNoTargets) {
  const auto found = align({"Q: ", "A", "*: 4", "*2"}, {"Q: A:", "* 4", "*2"});
  EXPECT_EQ(found.chunks, (Chunks{{0, 3, 0, 2, false}, {3, 4, 2, 3, true}}));
}

TEST(Alignment, NothingGivesNothing) {
  EXPECT_TRUE(align({}, {}).chunks.empty());
  EXPECT_TRUE(align({"*<bos>", "*<eos>"}, {}).chunks.empty());
  EXPECT_TRUE(align({"*a"}, {}).chunks.empty());
}

}  // namespace
}  // namespace distill::text
