#include <distill/generation/answer_judge.h>

#include <algorithm>
#include <limits>

#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <distill/models/load.h>
#include <distill/models/logits.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "generation/answer_text.h"
#include "generation/hash_model.h"

namespace distill::generation {

namespace {

/// Rows of logits that are formed at a time.
constexpr std::int64_t kRowsAtOnce = 128;

class LocalJudge final : public AnswerJudge {
 public:
  explicit LocalJudge(const LocalJudgeOptions& options)
      : options_(options),
        tokenizer_(text::load_tokenizer(options.model)),
        chat_(text::load_chat_template(options.model, options.chat_template)),
        model_(models::load_causal_lm(options.model, {.dtype = options.dtype})),
        hash_(hash_model(options.model, *tokenizer_)) {}

  double mean_log_prob(const Conversation& chat, const std::string& answer) override {
    const text::TokenIds prompt = encode_prompt(chat);
    const text::TokenIds all = encode_all(chat, answer);
    const auto shared = std::ranges::mismatch(prompt, all).in2;
    // The first id has nothing before it to be likely behind.
    const std::int64_t begin = std::max<std::int64_t>(1, shared - all.begin());
    if (std::ssize(all) > model_->shape().max_positions || begin >= std::ssize(all)) {
      return -std::numeric_limits<double>::infinity();
    }
    return sum_of(all, begin) / static_cast<double>(std::ssize(all) - begin);
  }
  std::string name() const override { return options_.model.string(); }
  std::string hash() const override { return hash_; }

 private:
  text::TokenIds encode_prompt(const Conversation& chat) const {
    if (chat_) return text::encode_chat(*chat_, *tokenizer_, chat, true).ids;
    return tokenizer_->encode(text_to_continue(chat), /*add_special=*/true);
  }

  text::TokenIds encode_all(Conversation chat, const std::string& answer) const {
    if (chat_) {
      chat.push_back({"assistant", answer});
      return text::encode_chat(*chat_, *tokenizer_, chat, false).ids;
    }
    return tokenizer_->encode(text_to_continue(chat) + answer, /*add_special=*/true);
  }

  /// Of the ids from `begin` on.
  double sum_of(const text::TokenIds& ids, std::int64_t begin) {
    const c10::NoGradGuard no_graph;
    const at::Tensor all = at::tensor(ids);
    const auto output = model_->forward(types::single_sequence(all));
    double sum = 0;
    for (std::int64_t t = begin; t < std::ssize(ids); t += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, std::ssize(ids) - t);
      const at::Tensor logits = models::logits(output, output.hidden.narrow(0, t - 1, count));
      const at::Tensor own = all.narrow(0, t, count).unsqueeze(1);
      sum += at::gather(at::log_softmax(logits, 1), 1, own).sum().item<double>();
    }
    return sum;
  }

  LocalJudgeOptions options_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const text::ChatTemplate> chat_;
  std::shared_ptr<models::CausalLm> model_;
  std::string hash_;
};

}  // namespace

std::unique_ptr<AnswerJudge> make_local_judge(const LocalJudgeOptions& options) {
  return std::make_unique<LocalJudge>(options);
}

}  // namespace distill::generation
