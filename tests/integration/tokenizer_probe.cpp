// What the text layer gives, for the scripts that compare it with other packages.
//
//   tokenizer_probe DIR MODE < rows.jsonl > lines
//
// MODE encode | special | plain | ranges: rows {"text"}, lines of ids; decode | decode_skip |
// stream | stream_skip: rows {"ids"}, JSON texts; chat: rows {"messages", "prompt"}, JSON
// {"text","ids","targets"}; bench N: encodes all texts N times on one thread, writes seconds; batch
// N: on N threads.
#include <chrono>
#include <iostream>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

namespace {

using namespace distill;

void write_ids(const text::TokenIds& ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) std::cout << (i > 0 ? " " : "") << ids[i];
  std::cout << '\n';
}

void encode(const text::Tokenizer& tokenizer, const std::string& mode, const std::string& text) {
  if (mode == "ranges") return write_ids(tokenizer.encode_with_ranges(text).ids);
  write_ids(tokenizer.encode(text, mode == "special", mode != "plain"));
}

void decode(const text::Tokenizer& tokenizer, const std::string& mode, const io::JsonCursor& list) {
  text::TokenIds ids;
  for (std::size_t i = 0; i < list.size(); ++i) ids.push_back(list.at(i).as_int());
  const bool skip = mode.ends_with("_skip");
  std::string result;
  if (mode.starts_with("decode")) {
    result = tokenizer.decode(ids, skip);
  } else {
    const auto stream = tokenizer.stream(skip);
    for (const std::int64_t id : ids) result += stream->push(id);
    result += stream->finish();
  }
  core::JsonWriter json;
  std::cout << json.begin_object().member("text", result).end_object().text() << '\n';
}

void chat(const text::Tokenizer& tokenizer, const text::ChatTemplate* form,
          const io::JsonCursor& row) {
  core::JsonWriter json;
  json.begin_object();
  try {
    if (!form) fail<InputError>("no chat template");
    std::vector<text::ChatMessage> messages;
    for (std::size_t i = 0; i < row.at("messages").size(); ++i) {
      const io::JsonCursor message = row.at("messages").at(i);
      messages.push_back({message.at("role").as_string(), message.at("content").as_string()});
    }
    const bool prompt = row.at("prompt").as_bool();
    std::string text;
    for (const auto& span : form->render(messages, prompt)) text += span.text;
    const auto encoded = text::encode_chat(*form, tokenizer, messages, prompt);
    json.member("name", form->name()).member("text", text).key("ids").begin_array();
    for (const auto id : encoded.ids) json.value(id);
    json.end_array().key("targets").begin_array();
    for (const bool target : encoded.is_target) json.value(target);
    json.end_array();
  } catch (const InputError& error) {
    json.member("error", std::string(error.what()));
  }
  std::cout << json.end_object().text() << '\n';
}

void bench(const text::Tokenizer& tokenizer, const std::vector<std::string>& texts, int threads,
           int times) {
  double best = 1e9;
  std::size_t ids = 0;
  for (int i = 0; i < times; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ids = 0;
    if (threads == 1) {
      for (const auto& text : texts) ids += tokenizer.encode(text, false).size();
    } else {
      for (const auto& list : text::encode_batch(tokenizer, texts, threads)) ids += list.size();
    }
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::cout << best << ' ' << ids << '\n';
}

int run(const std::string& folder, const std::string& mode, int number) {
  const auto tokenizer = text::load_tokenizer(folder);
  const auto form = text::load_chat_template(folder, "auto");
  std::vector<std::string> texts;
  for (std::string line; std::getline(std::cin, line);) {
    const io::JsonValue value = io::parse_json(line, "input", {.max_bytes = 1U << 30});
    const io::JsonCursor row(value, "input");
    if (mode == "bench" || mode == "batch") {
      texts.push_back(row.at("text").as_string());
    } else if (mode == "chat") {
      chat(*tokenizer, form.get(), row);
    } else if (mode.starts_with("decode") || mode.starts_with("stream")) {
      decode(*tokenizer, mode, row.at("ids"));
    } else {
      encode(*tokenizer, mode, row.at("text").as_string());
    }
  }
  if (mode == "bench") bench(*tokenizer, texts, 1, number);
  if (mode == "batch") bench(*tokenizer, texts, number, 5);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argv[1], argv[2], argc > 3 ? std::stoi(argv[3]) : 1);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
