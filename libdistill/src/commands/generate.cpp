#include <distill/commands/generate.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <span>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/data/document_row.h>
#include <distill/models/check.h>
#include <distill/models/stop_ids.h>
#include <distill/text/chat_template.h>
#include <distill/text/stop_strings.h>
#include <distill/text/tokenizer.h>

namespace distill::commands {

namespace {

struct Prompt {
  std::string source;  // FILE:LINE, or the option
  std::string text;    // what the user gave, for --json
  text::TokenIds ids;
};

std::vector<Prompt> read_prompts(const GenerateCommandOptions& options,
                                 const text::Tokenizer& tokenizer) {
  if (options.chat.empty()) {
    return {{"--prompt", options.prompt, tokenizer.encode(options.prompt, true)}};
  }
  const auto chat = text::load_chat_template(options.source.model, options.chat_template);
  if (!chat)
    fail<InputError>(options.source.model.string(),
                     ": has no chat template; give --prompt, or --chat-template");
  std::vector<Prompt> prompts;
  for (const auto& row : data::read_conversations(options.chat)) {
    prompts.push_back({row.source, row.messages()->back().content,
                       text::encode_chat(*chat, tokenizer, *row.messages(), true).ids});
  }
  if (prompts.empty()) fail<InputError>(options.chat.string(), ": no conversation in it");
  return prompts;
}

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

/// The text of one prompt as it comes.
struct Answer {
  explicit Answer(const std::vector<std::string>& stop) : stop_strings(stop) {}

  text::StreamDecoder decoder;
  text::StopStrings stop_strings;
  text::TokenIds ids;
  std::string text;
  std::chrono::steady_clock::time_point began;
  double seconds = 0;
  bool complete = false;
};

void write_json(const Prompt& prompt, const Answer& answer, std::ostream& out) {
  core::JsonWriter json;
  json.begin_object().member("prompt", prompt.text).member("text", answer.text);
  json.key("ids").begin_array();
  for (const auto id : answer.ids) json.value(id);
  json.end_array()
      .member("tokens_per_second", static_cast<double>(answer.ids.size()) / answer.seconds)
      .end_object();
  out << json.text() << '\n';
}

/// Writes answers in the order of their prompts, the first unfinished one as it grows.
class Writer {
 public:
  Writer(const GenerateCommandOptions& options, const text::Tokenizer& tokenizer,
         std::span<const Prompt> prompts, std::ostream& out)
      : options_(options), tokenizer_(tokenizer), prompts_(prompts), out_(out) {
    for (std::size_t i = 0; i < prompts.size(); ++i) answers_.emplace_back(options.stop);
  }

  void begin(std::size_t prompt) { answers_[prompt].began = std::chrono::steady_clock::now(); }

  /// False when the answer ends with it.
  bool add(std::size_t prompt, std::int64_t id) {
    Answer& answer = answers_[prompt];
    answer.ids.push_back(id);
    if (!tokenizer_.is_special(id)) {
      show(prompt, answer.stop_strings.push(answer.decoder.push(tokenizer_.token_bytes(id))));
    }
    answer.seconds = seconds_since(answer.began);
    return !answer.stop_strings.found();
  }

  void complete(std::size_t prompt) {
    Answer& answer = answers_[prompt];
    show(prompt, answer.stop_strings.push(answer.decoder.finish()));
    show(prompt, answer.stop_strings.finish());
    answer.complete = true;
    while (first_open_ < answers_.size() && answers_[first_open_].complete) {
      if (options_.json) {
        write_json(prompts_[first_open_], answers_[first_open_], out_);
      } else {
        out_ << '\n';
      }
      ++first_open_;
      if (first_open_ < answers_.size() && !options_.json) out_ << answers_[first_open_].text;
    }
    out_ << std::flush;
  }

  std::int64_t num_tokens() const {
    std::int64_t tokens = 0;
    for (const Answer& answer : answers_) tokens += std::ssize(answer.ids);
    return tokens;
  }

 private:
  void show(std::size_t prompt, const std::string& piece) {
    answers_[prompt].text += piece;
    if (prompt == first_open_ && !options_.json) out_ << piece << std::flush;
  }

  const GenerateCommandOptions& options_;
  const text::Tokenizer& tokenizer_;
  std::span<const Prompt> prompts_;
  std::ostream& out_;
  std::vector<Answer> answers_;
  std::size_t first_open_ = 0;
};

}  // namespace

void generate(const GenerateCommandOptions& options, std::ostream& out, core::Logger& log) {
  recipe::choose_device(options.source.device);  // a refusal comes before anything is read
  const auto tokenizer = text::load_tokenizer(options.source.model);
  const auto prompts = read_prompts(options, *tokenizer);
  models::GenerateOptions generate_options = options.generate;
  const models::ModelShape shape = models::describe_causal_lm(options.source.model, {}).shape;
  generate_options.stop_ids = models::read_stop_ids(options.source.model, shape.vocab_size);
  generate_options.end_at_last_position = true;
  generate_options.vocabulary = tokenizer->vocab_size();
  if (tokenizer->eos_id() >= 0) generate_options.stop_ids.push_back(tokenizer->eos_id());

  std::vector<std::vector<std::int64_t>> ids;
  for (const auto& prompt : prompts) {
    ids.push_back(prompt.ids);
    generate_options.prompt_names.push_back(prompt.source);
  }
  const auto model = load_model(options.source, log);
  const auto began = std::chrono::steady_clock::now();
  Writer writer(options, *tokenizer, prompts, out);
  models::generate(
      *model, ids, generate_options,
      {.on_begin = [&](std::size_t prompt) { writer.begin(prompt); },
       .on_token = [&](std::size_t prompt, std::int64_t id) { return writer.add(prompt, id); },
       .on_end = [&](std::size_t prompt) { writer.complete(prompt); }});
  const double seconds = seconds_since(began);
  log.info(writer.num_tokens(), " tokens in ", core::human_seconds(seconds), ", ",
           static_cast<std::int64_t>(static_cast<double>(writer.num_tokens()) / seconds),
           " tokens/s");
}

}  // namespace distill::commands
