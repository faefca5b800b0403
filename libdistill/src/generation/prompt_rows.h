#pragma once

#include <distill/generation/text_generator.h>
#include <distill/io/jsonl.h>

namespace distill::generation {

/// What a row asks: its conversation without the assistant's last turn, or its `prompt` as what a
/// user says. Throws FormatError naming FILE:LINE for a row that asks nothing.
Conversation conversation_of(const io::JsonlRow& row);

}  // namespace distill::generation
