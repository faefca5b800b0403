#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace distill::text::detail {

/// A chat template in a uniform spelling, so that templates that do the same are told by comparing
/// texts; nothing is executed. One item is a statement, `{if messages[0].role != 'system'}`, or
/// what is written out between two statements, joined and with its texts in single quotes,
/// `<'<|im_start|>'+message.role+'\n'>`. `message['role']` becomes `message.role`, comments are
/// dropped, and white space control works as transformers sets it up (trim_blocks, lstrip_blocks).
using TemplateOutline = std::vector<std::string>;

/// Nothing for a text that is no template this can spell.
std::optional<TemplateOutline> outline_template(std::string_view source);

/// A text as it stands in an outline, in quotes, and back.
std::string quote_text(std::string_view text);
std::optional<std::string> unquote_text(std::string_view quoted);

}  // namespace distill::text::detail
