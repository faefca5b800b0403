#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/recipe/options.h>
#include <distill/teachers/server_teacher.h>
#include <distill/text/tokenizer.h>

namespace distill::recipe {

/// The ids of a tokenizer are sent to a server, whose model must take them for the same text: the
/// student's, or what is said to be the served model's own.
struct StudentText {
  const text::Tokenizer& tokenizer;
  std::filesystem::path folder;
  /// The served model's tokenizer was compared already, from a folder.
  bool compared = false;
  bool own = false;  ///< the served model's: the student has another one
};

/// Ids of texts in many scripts, `most` at most.
text::TokenIds probe_of(const text::Tokenizer& tokenizer, std::int64_t most);

/// Whether an id that is spelt `own` here may be spelt `served` there. Servers leave out the blank
/// that a word begins with, and cannot spell part of a character.
bool is_same_spelling(const std::string& own, const std::string& served);

/// Compares how the server spells the ids of its answer to the probe, and its ids of texts where
/// it tells those. Throws ConfigError for others than the student's; warns where it tells nothing.
void check_served_tokenizer(teachers::ServerTeacher& teacher, const StudentText& student,
                            core::Logger& log);

/// Throws ConfigError when the served model cannot read texts of that many tokens; `key` is where
/// the recipe says so.
void check_served_length(const teachers::ServerTeacher& teacher, std::int64_t tokens,
                         const char* key = "data.sequence_length");

/// Tokens of its own that a teacher with another tokenizer is sent of one text at most, for rows of
/// `sequence_length` of the student's.
std::int64_t most_sent_tokens(const ServerTeacherOptions& options, std::int64_t sequence_length);

}  // namespace distill::recipe
