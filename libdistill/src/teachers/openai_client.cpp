#include <distill/teachers/openai_client.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <distill/core/strings.h>

#include "teachers/hidden_key.h"
#include "teachers/openai_json.h"
#include "teachers/sglang_json.h"

namespace distill::teachers {

namespace {

constexpr std::size_t kLongestShown = 160;
constexpr std::size_t kLongestName = 60;

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
      key_(std::make_unique<detail::HiddenKey>(options_.api_key)),
      connection_({.total_seconds = options_.timeout_seconds, .cancelled = context.cancelled}),
      retrier_(options_.retry, context.clock, core::RandomState(context.random_seed), context.log,
               context.retries) {}

OpenAiClient::~OpenAiClient() = default;

/// Foreign text for a message: one line, short, without the key that some servers repeat.
std::string OpenAiClient::shown(std::string text, std::size_t longest) const {
  return core::printable(key_->hide(std::move(text)), longest);
}

void OpenAiClient::refuse(const std::string& url, const io::HttpResponse& response) const {
  const std::string message = detail::parse_error_message(response.body);
  if (response.status >= 300 && response.status < 400) {
    fail<TeacherError>(url, ": answered ", response.status, " and points to `",
                       shown(response.location, kLongestShown),
                       "`; give the address where the server really is");
  }
  const bool wrong_request =
      response.status == 400 || response.status == 413 || response.status == 422;
  if (wrong_request && says_too_long(message.empty() ? response.body : message)) {
    throw PromptTooLong(
        core::concat(url, ": the prompt is too long: `", shown(message, kLongestShown), "`"));
  }
  fail<TeacherError>(url, ": answered ", response.status, ", `",
                     shown(message.empty() ? response.body : message, kLongestShown), "`",
                     advice(response.status));
}

io::HttpResponse OpenAiClient::send(const std::string& url, const std::string& body,
                                    MaxBytes max_bytes) {
  io::HttpRequest request{
      .url = url, .post = !body.empty(), .body = body, .max_body_bytes = max_bytes};
  if (request.post) request.headers.push_back({"Content-Type", "application/json"});
  request.headers.push_back({"Accept", "application/json"});
  if (!options_.api_key.empty()) {
    request.headers.push_back({"Authorization", "Bearer " + options_.api_key});
  }
  io::HttpResponse response = retrier_.send(url, [&] {
    ++num_sent_;
    try {
      return connection_.send(request);
    } catch (const io::HttpError& error) {  // it may show a part of the answer
      throw io::HttpError(error.failure(), key_->hide(error.what()));
    }
  });
  if (key_->is_telling()) response.body = key_->hide(std::move(response.body));
  return response;
}

std::string OpenAiClient::ask(const std::string& url, const std::string& body, MaxBytes max_bytes) {
  io::HttpResponse response = send(url, body, max_bytes);
  if (response.status != 200) refuse(url, response);
  return std::move(response.body);
}

/// Where a server keeps what OpenAI's does not have.
std::string OpenAiClient::root() const {
  const std::string& url = options_.url;
  return url.ends_with("/v1") ? url.substr(0, url.size() - 3) : url;
}

/// What `parse` makes of an answer, of which a message shows some.
template <class Parse>
auto OpenAiClient::read(const Parse& parse) const {
  try {
    return parse();
  } catch (const BadAnswer& error) {
    throw BadAnswer(key_->hide(error.what()));
  }
}

std::vector<std::string> OpenAiClient::models() {
  const std::string url = options_.url + "/models";
  const std::string body = ask(url, "");
  std::vector<std::string> names;
  for (auto& model : read([&] { return detail::parse_models(body, url); })) {
    names.push_back(std::move(model.name));
  }
  return names;
}

std::optional<std::int64_t> OpenAiClient::require_model() {
  const std::string url = options_.url + "/models";
  const std::string body = ask(url, "");
  const auto served = read([&] { return detail::parse_models(body, url); });
  const auto found = std::ranges::find(served, options_.model, &detail::ServedModel::name);
  if (found != served.end()) return found->max_tokens;
  std::vector<std::string> names;
  for (const auto& model : served) names.push_back(shown(model.name, kLongestName));
  const std::string hint = core::did_you_mean(options_.model, names);
  for (auto& name : names) name = "`" + name + "`";
  constexpr std::size_t kMostShown = 10;
  const std::size_t more = names.size() > kMostShown ? names.size() - kMostShown : 0;
  names.resize(names.size() - more);
  fail<InputError>(options_.url, ": serves no `", core::printable(options_.model), "`", hint,
                   "; it serves ", names.empty() ? "nothing" : core::join(names),
                   more > 0 ? core::concat(" and ", more, " more") : "");
}

Completion OpenAiClient::complete(const CompletionRequest& request) {
  detail::Expected expected{.url = options_.url + "/completions",
                            .model = options_.model,
                            .num_answers = request.answer.num_answers,
                            .log_probs = request.answer.log_probs};
  if (request.prompt_log_probs) {
    expected.prompt_ids = std::get_if<std::vector<std::int64_t>>(&request.prompt);
    expected.num_log_probs = *request.prompt_log_probs;
    expected.token_texts = request.token_texts;
    if (expected.prompt_ids == nullptr) {
      fail<InputError>("log-probabilities of a prompt want its token ids, not its text");
    }
    expected.limits =
        detail::score_limits(std::ssize(*expected.prompt_ids), expected.num_log_probs);
  }
  const std::string body = ask(expected.url, detail::completion_json(options_.model, request),
                               expected.limits.max_bytes);
  Completion completion = read([&] { return detail::parse_completion(body, expected); });
  completion.prompt.fingerprint = key_->hide(std::move(completion.prompt.fingerprint));
  return completion;
}

Completion OpenAiClient::chat(const ChatRequest& request) {
  const detail::Expected expected{.url = options_.url + "/chat/completions",
                                  .model = options_.model,
                                  .num_answers = request.answer.num_answers,
                                  .chat = true,
                                  .log_probs = request.answer.log_probs};
  const std::string body = ask(expected.url, detail::chat_json(options_.model, request));
  return read([&] { return detail::parse_completion(body, expected); });
}

PromptScores OpenAiClient::score(ServerApi api, const ScoreRequest& request) {
  if (api == ServerApi::kVllm) {
    CompletionRequest completion{.prompt = request.ids,
                                 .prompt_log_probs = request.top_k,
                                 .token_texts = request.token_texts};
    completion.answer.max_tokens = 1;  // the least that it takes
    return complete(completion).prompt;
  }
  const std::string url = root() + "/generate";
  const auto limits = detail::score_limits(std::ssize(request.ids), request.top_k);
  const std::string body = ask(url, detail::sglang_score_json(request), limits.max_bytes);
  PromptScores scores = read([&] { return detail::parse_sglang_scores(body, url, request); });
  scores.fingerprint = key_->hide(std::move(scores.fingerprint));
  return scores;
}

std::optional<std::vector<std::int64_t>> OpenAiClient::tokenize(const std::string& text) {
  const std::string url = root() + "/tokenize";
  const io::HttpResponse response = send(url, detail::tokenize_json(options_.model, text));
  if (response.status != 200) return std::nullopt;
  return read([&] { return detail::parse_tokens(response.body, url); });
}

}  // namespace distill::teachers
