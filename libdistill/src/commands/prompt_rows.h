#pragma once

#include <distill/commands/text_generator.h>
#include <distill/io/jsonl.h>

namespace distill::commands {

/// What a row asks: its conversation without the assistant's last turn, or its `prompt` as what a
/// user says. Throws FormatError naming FILE:LINE for a row that asks nothing.
Conversation conversation_of(const io::JsonlRow& row);

}  // namespace distill::commands
