#include <distill/generation/text_generator.h>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>

#include "generation/answer_text.h"

namespace distill::generation {

std::vector<std::optional<TextAnswer>> TextGenerator::answer(
    const std::vector<std::string>& prompts, std::uint64_t seed) {
  std::vector<Conversation> chats;
  for (const auto& prompt : prompts) chats.push_back({{"user", prompt}});
  return converse(chats, seed);
}

void TextGenerator::stop_if_asked() const {
  if (stop_flag_ == nullptr || !stop_flag_->requested()) return;
  fail<Interrupted>("stopped by signal ", stop_flag_->reason(), " while ", name(),
                    " was answering");
}

const std::string& text_to_continue(const Conversation& chat) {
  if (chat.size() == 1) return chat[0].content;
  fail<InputError>("a conversation of ", chat.size(),
                   " turns needs a chat template; without one, a prompt is a text to continue");
}

}  // namespace distill::generation
