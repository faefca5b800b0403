#pragma once

#include <string>
#include <vector>

#include <distill/core/error.h>
#include <distill/text/chat_template.h>

namespace distill::testing {

/// `[role]content<|im_end|>` for each message, no line breaks: easy to write down by hand.
class ByteChat : public text::ChatTemplate {
 public:
  std::string name() const override { return "bytes"; }
  std::vector<text::ChatSpan> render(const std::vector<text::ChatMessage>& messages,
                                     bool add_generation_prompt) const override {
    std::vector<text::ChatSpan> spans;
    for (const auto& message : messages) {
      if (message.role == "tool") fail<InputError>("role `tool` has no form in this template");
      const bool target = message.role == "assistant";
      spans.push_back({"[" + message.role + "]", false});
      spans.push_back({message.content + "<|im_end|>", target});
    }
    if (add_generation_prompt) spans.push_back({"[assistant]", false});
    return spans;
  }
};

}  // namespace distill::testing
