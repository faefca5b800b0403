#include <distill/generation/text_generator.h>

#include <distill/core/interrupted.h>
#include <distill/core/random.h>
#include <distill/core/strings.h>
#include <distill/teachers/server_pool.h>

#include "generation/answer_text.h"

namespace distill::generation {

namespace {

/// Servers take seeds of different sizes; all take these.
constexpr std::uint64_t kSeeds = std::uint64_t{1} << 31;

bool is_chat(const std::string& chat_template) {
  if (chat_template == "auto") return true;
  if (chat_template == "none") return false;
  fail<InputError>("the chat template of a server's model is its own; `",
                   core::printable(chat_template), "` was asked for, expected auto or none");
}

class ServerGenerator final : public TextGenerator {
 public:
  ServerGenerator(const ServerGeneratorOptions& options, core::Logger& log,
                  const core::StopFlag* stop)
      : options_(options),
        chat_(is_chat(options.chat_template)),
        stop_(stop),
        pool_(options.server, log, stop) {}

  std::vector<std::optional<TextAnswer>> converse(const std::vector<Conversation>& chats,
                                                  std::uint64_t seed) override {
    std::vector<std::optional<TextAnswer>> answers(chats.size());
    try {
      pool_.run(chats.size(), [&](teachers::OpenAiClient& client, std::size_t i) {
        // Of its own for each prompt, whichever client asks and in whatever order.
        const std::uint64_t own = core::RandomState(seed, i).below(kSeeds);
        try {
          const auto answer = ask(client, chats[i], static_cast<std::int64_t>(own)).answers.at(0);
          answers[i] = {without_blanks_around(answer.text),
                        answer.finish != teachers::FinishReason::kStop,
                        answer.num_tokens,
                        answer.mean_log_prob,
                        answer.text,
                        answer.finish == teachers::FinishReason::kOther};
        } catch (const teachers::PromptTooLong&) {
          // Nothing, which the caller counts.
        }
      });
    } catch (const io::HttpError& error) {
      if (error.failure() != io::HttpFailure::kCancelled || stop_ == nullptr) throw;
      fail<Interrupted>("stopped by signal ", stop_->reason(), " while asking ", name());
    }
    return answers;
  }

  std::string name() const override {
    return core::concat(options_.server.model, " at ", options_.server.url);
  }
  std::string asked_model() const override { return options_.server.model; }
  std::string hash() const override { return ""; }
  bool continues() const override { return !chat_; }
  bool draws() const override { return options_.temperature > 0; }
  std::vector<std::pair<std::string, std::string>> settings() const override {
    return {{"chat template", options_.chat_template},
            {"temperature", core::concat(options_.temperature)},
            {"top-p", core::concat(options_.top_p)},
            {"max new tokens", core::concat(options_.max_new_tokens)}};
  }

 private:
  teachers::Completion ask(teachers::OpenAiClient& client, const Conversation& chat,
                           std::int64_t seed) const {
    const teachers::AnswerOptions how{.max_tokens = options_.max_new_tokens,
                                      .temperature = options_.temperature,
                                      .top_p = options_.top_p,
                                      .seed = seed,
                                      .log_probs = options_.log_probs};
    if (!chat_) return client.complete({.prompt = text_to_continue(chat), .answer = how});
    teachers::ChatRequest request{.messages = {}, .answer = how};
    for (const auto& message : chat) request.messages.push_back({message.role, message.content});
    return client.chat(request);
  }

  ServerGeneratorOptions options_;
  bool chat_;
  const core::StopFlag* stop_;
  teachers::ServerPool pool_;
};

}  // namespace

std::unique_ptr<TextGenerator> make_server_generator(const ServerGeneratorOptions& options,
                                                     core::Logger& log,
                                                     const core::StopFlag* stop) {
  try {
    return std::make_unique<ServerGenerator>(options, log, stop);
  } catch (const io::HttpError& error) {
    if (error.failure() != io::HttpFailure::kCancelled || stop == nullptr) throw;
    fail<Interrupted>("stopped by signal ", stop->reason(), " while asking ", options.server.url,
                      " for its models; nothing is begun yet");
  }
}

}  // namespace distill::generation
