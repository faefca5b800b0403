#include <distill/teachers/openai_client.h>

#include <algorithm>
#include <array>
#include <utility>

#include <distill/core/strings.h>

#include "teachers/openai_json.h"

namespace distill::teachers {

namespace {

constexpr int kLongestShown = 160;

ServerOptions checked(ServerOptions options) {
  io::check_http_url(options.url);
  while (options.url.ends_with('/')) options.url.pop_back();
  if (options.model.empty() || !core::is_utf8(options.model)) {
    fail<InputError>(options.url, ": the name of the model is `", core::printable(options.model),
                     "`, expected a name that the server knows");
  }
  // A key with a line break at its end is a common slip; its value is not for messages.
  const auto is_plain = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!std::ranges::all_of(options.api_key, is_plain)) {
    fail<InputError>(options.url,
                     ": the API key holds a blank, a line break or another character "
                     "that a key does not have");
  }
  return options;
}

/// The wordings of vLLM, SGLang, OpenAI and llama.cpp.
bool says_too_long(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  constexpr std::array kSigns = {"context length", "context_length", "context size",
                                 "context window", "maximum model length"};
  return std::ranges::any_of(
      kSigns, [&](const char* sign) { return text.find(sign) != std::string::npos; });
}

std::string advice(int status) {
  if (status == 401 || status == 403) return "; is it the right key, and for this server?";
  if (status == 404) return "; the address of a server usually ends with /v1";
  return "";
}

}  // namespace

OpenAiClient::OpenAiClient(ServerOptions options, const ClientContext& context)
    : options_(checked(std::move(options))),
      connection_({.total_seconds = options_.timeout_seconds, .cancelled = context.cancelled}),
      retrier_(options_.retry, context.clock, core::RandomState(context.random_seed), context.log,
               context.retries) {}

/// Foreign text for a message: one line, short, without the key that some servers repeat.
std::string OpenAiClient::shown(std::string text) const {
  const std::string& key = options_.api_key;
  for (std::size_t at = key.empty() ? std::string::npos : text.find(key); at != std::string::npos;
       at = text.find(key, at + 5)) {
    text.replace(at, key.size(), "[key]");
  }
  return core::printable(text, kLongestShown);
}

void OpenAiClient::refuse(const std::string& url, const io::HttpResponse& response) const {
  const std::string message = detail::parse_error_message(response.body);
  if (response.status >= 300 && response.status < 400) {
    fail<TeacherError>(url, ": answered ", response.status, " and points to `",
                       shown(response.location), "`; give the address where the server really is");
  }
  const bool wrong_request =
      response.status == 400 || response.status == 413 || response.status == 422;
  if (wrong_request && says_too_long(message.empty() ? response.body : message)) {
    throw PromptTooLong(core::concat(url, ": the prompt is too long: `", shown(message), "`"));
  }
  fail<TeacherError>(url, ": answered ", response.status, ", `",
                     shown(message.empty() ? response.body : message), "`",
                     advice(response.status));
}

std::string OpenAiClient::ask(const std::string& path, const std::string& body) {
  io::HttpRequest request{.url = options_.url + path, .post = !body.empty(), .body = body};
  if (request.post) request.headers.push_back({"Content-Type", "application/json"});
  request.headers.push_back({"Accept", "application/json"});
  if (!options_.api_key.empty()) {
    request.headers.push_back({"Authorization", "Bearer " + options_.api_key});
  }
  io::HttpResponse response = retrier_.send(request.url, [&] { return connection_.send(request); });
  if (response.status != 200) refuse(request.url, response);
  return std::move(response.body);
}

/// What `parse` makes of the body of an answer.
template <class Parse>
auto OpenAiClient::read(const std::string& url, const std::string& body, const Parse& parse) const {
  try {
    return parse();
  } catch (const TeacherError&) {
    // Its message shows some of the answer.
    const bool has_key = !options_.api_key.empty() && body.find(options_.api_key) != body.npos;
    if (!has_key) throw;
    fail<TeacherError>(url,
                       ": not the answer that was expected; it is not shown, since it repeats "
                       "the API key");
  }
}

std::vector<std::string> OpenAiClient::models() {
  const std::string url = options_.url + "/models";
  const std::string body = ask("/models", "");
  return read(url, body, [&] { return detail::parse_models(body, url); });
}

void OpenAiClient::require_model() {
  std::vector<std::string> served = models();
  if (std::ranges::find(served, options_.model) != served.end()) return;
  const std::string hint = core::did_you_mean(options_.model, served);
  for (auto& name : served) name = "`" + core::printable(name) + "`";
  constexpr std::size_t kMostShown = 10;
  const std::size_t more = served.size() > kMostShown ? served.size() - kMostShown : 0;
  served.resize(served.size() - more);
  fail<InputError>(options_.url, ": serves no `", core::printable(options_.model), "`", hint,
                   "; it serves ", served.empty() ? "nothing" : core::join(served),
                   more > 0 ? core::concat(" and ", more, " more") : "");
}

Completion OpenAiClient::complete(const CompletionRequest& request) {
  detail::Expected expected{.url = options_.url + "/completions",
                            .model = options_.model,
                            .num_answers = request.answer.num_answers};
  if (request.prompt_log_probs) {
    expected.prompt_ids = std::get_if<std::vector<std::int64_t>>(&request.prompt);
    expected.num_log_probs = *request.prompt_log_probs;
    if (expected.prompt_ids == nullptr) {
      fail<InputError>("log-probabilities of a prompt want its token ids, not its text");
    }
  }
  const std::string body = ask("/completions", detail::completion_json(options_.model, request));
  return read(expected.url, body, [&] { return detail::parse_completion(body, expected); });
}

Completion OpenAiClient::chat(const ChatRequest& request) {
  const detail::Expected expected{.url = options_.url + "/chat/completions",
                                  .model = options_.model,
                                  .num_answers = request.answer.num_answers,
                                  .chat = true};
  const std::string body = ask("/chat/completions", detail::chat_json(options_.model, request));
  return read(expected.url, body, [&] { return detail::parse_completion(body, expected); });
}

}  // namespace distill::teachers
