#include <distill/generation/text_generator.h>

#include <algorithm>

#include <distill/core/strings.h>
#include <distill/models/load.h>
#include <distill/models/stop_ids.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "generation/answer_text.h"
#include "generation/hash_model.h"

namespace distill::generation {

namespace {

class LocalGenerator final : public TextGenerator {
 public:
  explicit LocalGenerator(const LocalGeneratorOptions& options)
      : options_(options),
        tokenizer_(text::load_tokenizer(options.model)),
        chat_(text::load_chat_template(options.model, options.chat_template)),
        model_(models::load_causal_lm(options.model,
                                      {.dtype = options.dtype, .device = options.device})),
        hash_(hash_model(options.model, *tokenizer_)) {
    options_.generate.end_at_last_position = true;
    options_.generate.vocabulary = tokenizer_->vocab_size();
    if (tokenizer_->eos_id() >= 0) options_.generate.stop_ids.push_back(tokenizer_->eos_id());
    for (const auto id : models::read_stop_ids(options.model, model_->shape().vocab_size)) {
      options_.generate.stop_ids.push_back(id);
    }
  }

  std::vector<std::optional<TextAnswer>> converse(const std::vector<Conversation>& chats,
                                                  std::uint64_t seed) override {
    std::vector<std::vector<std::int64_t>> ids;
    std::vector<std::size_t> asked;  // which conversation each belongs to
    for (std::size_t i = 0; i < chats.size(); ++i) {
      auto one = encode(chats[i]);
      if (one.empty() || std::ssize(one) >= model_->shape().max_positions) continue;
      ids.push_back(std::move(one));
      asked.push_back(i);
    }
    models::GenerateOptions generate = options_.generate;
    generate.sampling.seed = seed;
    std::vector<std::optional<TextAnswer>> answers(chats.size());
    if (ids.empty()) return answers;
    models::GenerateCallbacks callbacks;
    callbacks.on_token = [this](std::size_t, std::int64_t) {
      stop_if_asked();
      return true;
    };
    const auto written = models::generate(*model_, ids, generate, callbacks);
    for (std::size_t i = 0; i < written.size(); ++i) {
      const auto& stops = options_.generate.stop_ids;
      const bool ended =
          !written[i].empty() && std::ranges::find(stops, written[i].back()) != stops.end();
      const std::string text = text_of(ids[i], written[i]);
      answers[asked[i]] = {.text = without_blanks_around(text),
                           .cut_off = !ended,
                           .num_tokens = std::ssize(written[i]),
                           .as_written = text};
    }
    return answers;
  }
  bool continues() const override { return chat_ == nullptr; }
  bool draws() const override { return options_.generate.sampling.temperature > 0; }
  std::string name() const override { return options_.model.string(); }
  std::string hash() const override { return hash_; }
  std::vector<std::pair<std::string, std::string>> settings() const override {
    const auto& generate = options_.generate;
    return {{"chat template", options_.chat_template},
            {"temperature", core::concat(generate.sampling.temperature)},
            {"top-p", core::concat(generate.sampling.top_p)},
            {"max new tokens", core::concat(generate.max_new_tokens)},
            {"batch size", core::concat(generate.batch_size)},
            {"dtype", c10::toString(options_.dtype)}};
  }

 private:
  /// Of ids behind a prompt: some tokenizers leave out the blank that a text begins with.
  std::string text_of(const std::vector<std::int64_t>& prompt,
                      const std::vector<std::int64_t>& written) const {
    if (chat_) return tokenizer_->decode(written);
    std::vector<std::int64_t> all = prompt;
    all.insert(all.end(), written.begin(), written.end());
    const std::string before = tokenizer_->decode(prompt);
    const std::string text = tokenizer_->decode(all);
    return text.starts_with(before) ? text.substr(before.size()) : tokenizer_->decode(written);
  }

  std::vector<std::int64_t> encode(const Conversation& chat) const {
    if (!chat_) return tokenizer_->encode(text_to_continue(chat), /*add_special=*/true);
    return text::encode_chat(*chat_, *tokenizer_, chat, true).ids;
  }

  LocalGeneratorOptions options_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const text::ChatTemplate> chat_;
  std::shared_ptr<models::CausalLm> model_;
  std::string hash_;
};

}  // namespace

std::unique_ptr<TextGenerator> make_local_generator(const LocalGeneratorOptions& options) {
  return std::make_unique<LocalGenerator>(options);
}

}  // namespace distill::generation
