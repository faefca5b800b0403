#include <distill/commands/generate.h>

#include <algorithm>
#include <chrono>
#include <ostream>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/data/document_row.h>
#include <distill/io/jsonl.h>
#include <distill/models/load.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

namespace distill::commands {

namespace {

struct Prompt {
  std::string text;  // what the user gave, for --json
  text::TokenIds ids;
};

std::vector<Prompt> read_prompts(const GenerateCommandOptions& options,
                                 const text::Tokenizer& tokenizer) {
  if (options.chat.empty()) return {{options.prompt, tokenizer.encode(options.prompt, true)}};
  const auto chat = text::load_chat_template(options.model, options.chat_template);
  if (!chat)
    fail<InputError>(options.model.string(),
                     ": has no chat template; give --prompt, or --chat-template");
  std::vector<Prompt> prompts;
  io::JsonlReader reader(options.chat);
  while (const auto row = reader.next()) {
    const auto document = data::parse_document_row(*row);
    const auto* messages = document.messages();
    if (messages == nullptr) {
      fail<FormatError>(row->source, ": holds `text`, expected `messages`; give texts by --prompt");
    }
    prompts.push_back(
        {messages->back().content, text::encode_chat(*chat, tokenizer, *messages, true).ids});
  }
  if (prompts.empty()) fail<InputError>(options.chat.string(), ": no conversation in it");
  return prompts;
}

void write_json(const Prompt& prompt, const text::TokenIds& ids, const std::string& text,
                double seconds, std::ostream& out) {
  core::JsonWriter json;
  json.begin_object().member("prompt", prompt.text).member("text", text).key("ids").begin_array();
  for (const auto id : ids) json.value(id);
  json.end_array()
      .member("tokens_per_second", static_cast<double>(ids.size()) / seconds)
      .end_object();
  out << json.text() << '\n';
}

}  // namespace

void generate(const GenerateCommandOptions& options, std::ostream& out, core::Logger& log) {
  const auto tokenizer = text::load_tokenizer(options.model);
  const auto prompts = read_prompts(options, *tokenizer);
  const auto model = models::load_causal_lm(options.model, {.dtype = options.dtype});
  models::GenerateOptions generate_options = options.generate;
  if (tokenizer->eos_id() >= 0) generate_options.stop_ids.push_back(tokenizer->eos_id());

  std::int64_t tokens = 0;
  double seconds = 0;
  for (const auto& prompt : prompts) {
    const auto room = model->shape().max_positions - static_cast<std::int64_t>(prompt.ids.size());
    generate_options.max_new_tokens =
        std::min(options.generate.max_new_tokens, std::max<std::int64_t>(room, 1));
    text::StreamDecoder stream;
    std::string text;
    const auto show = [&](std::string piece) {
      if (!options.json) out << piece << std::flush;
      text += piece;
    };
    const auto began = std::chrono::steady_clock::now();
    const auto ids = models::generate(*model, prompt.ids, generate_options, [&](std::int64_t id) {
      if (!tokenizer->is_special(id)) show(stream.push(tokenizer->token_bytes(id)));
      return true;
    });
    show(stream.finish());
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - began;
    tokens += static_cast<std::int64_t>(ids.size());
    seconds += elapsed.count();
    if (options.json) {
      write_json(prompt, ids, text, elapsed.count(), out);
    } else {
      out << '\n';
    }
  }
  log.info(tokens, " tokens in ", core::human_seconds(seconds), ", ",
           static_cast<std::int64_t>(static_cast<double>(tokens) / seconds), " tokens/s");
}

}  // namespace distill::commands
