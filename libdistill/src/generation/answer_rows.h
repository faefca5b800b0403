#pragma once

#include <string>
#include <utility>

#include <distill/core/json_writer.h>
#include <distill/generation/text_generator.h>
#include <distill/io/jsonl.h>

namespace distill::generation {

/// Writes what a student learns from an answer: `messages` with the answer as last turn, or of a
/// text that was continued (`continues`) `prompt` and `completion`.
void write_lesson(core::JsonWriter& json, const Conversation& chat, const std::string& answer,
                  bool continues);

/// Writes the members of a prompt's row that are no part of its form, such as `label`.
void write_other_members(core::JsonWriter& json, const io::JsonlRow& row);

/// What was asked and answered, of a row that write_lesson wrote.
std::pair<Conversation, std::string> read_lesson(const io::JsonlRow& row);

}  // namespace distill::generation
