#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/log.h>
#include <distill/io/http.h>
#include <distill/io/json_value.h>
#include <distill/io/retry.h>
#include <distill/teachers/server_api.h>

namespace distill::teachers {

namespace detail {
class HiddenKey;
}

/// A model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, a hosted one.
struct ServerOptions {
  std::string url;               ///< http://HOST:PORT/v1
  std::string model;             ///< as the server calls it
  std::string api_key = {};      ///< sent as a bearer token and never shown; empty: none
  double timeout_seconds = 600;  ///< for one answer
  std::int64_t parallel = 8;     ///< requests at one time
  io::RetryOptions retry = {};
};

/// How answers are drawn.
struct AnswerOptions {
  std::int64_t max_tokens = 256;
  double temperature = 0;
  double top_p = 1;
  std::optional<std::int64_t> seed = {};
  std::vector<std::string> stop = {};
  std::int64_t num_answers = 1;
  bool log_probs = false;  ///< ServerAnswer::mean_log_prob is wanted
};

/// Text that is continued, or the ids of its tokens.
struct CompletionRequest {
  std::variant<std::string, std::vector<std::int64_t>> prompt;
  AnswerOptions answer = {};
  /// With ids: also the log-probabilities of so many likeliest ids at each position (vLLM).
  std::optional<std::int64_t> prompt_log_probs = {};
  bool token_texts = false;  ///< with those: what each of these ids spells
};

struct ChatMessage {
  std::string role;
  std::string content;
};

/// A conversation that the server puts into its model's template.
struct ChatRequest {
  std::vector<ChatMessage> messages;
  AnswerOptions answer = {};
};

/// Why an answer ended: by itself or at a stop text, at max_tokens, or otherwise (a filter).
enum class FinishReason { kStop, kLength, kOther };

struct ServerAnswer {
  std::string text;
  FinishReason finish = FinishReason::kStop;
  std::optional<std::int64_t> num_tokens = {};  ///< of a single answer, where the server says so
  std::optional<double> mean_log_prob = {};     ///< of its tokens, where it was asked for
};

struct TokenLogProb {
  std::int64_t id = 0;
  double log_prob = 0;  ///< of the whole softmax, at most 0
};

/// What a server says about a prompt.
struct PromptScores {
  /// [prompt tokens], each ascending by id and with the token that is there; the first is empty,
  /// nothing comes before it. Empty as a whole where it was not asked for.
  std::vector<std::vector<TokenLogProb>> log_probs;
  /// How ids are spelt, where it was asked for; without those that have no text of their own.
  std::map<std::int64_t, std::string> token_texts = {};
  /// The server's name for the program and the weights behind the answer; empty: it says none.
  std::string fingerprint = {};
};

struct Completion {
  std::vector<ServerAnswer> answers;
  PromptScores prompt;
};

struct ScoreRequest {
  std::vector<std::int64_t> ids;
  std::int64_t top_k = 64;   ///< likeliest ids at each position
  bool token_texts = false;  ///< also how ids are spelt
};

/// Throws InputError where the answer would be too large to read: more than 4,194,304 ids (2^22)
/// over all tokens, of which each has one more than `top_k`.
void check_score_size(std::int64_t num_tokens, std::int64_t top_k);

/// An answer that is not what was asked for: no JSON, wrong counts, numbers that are no
/// probabilities. Another try may do better.
class BadAnswer : public TeacherError {
 public:
  using TeacherError::TeacherError;
};

/// The model cannot read the prompt, or not write max_tokens behind it.
class PromptTooLong : public TeacherError {
 public:
  using TeacherError::TeacherError;
};

/// What clients share. All must outlive them.
struct ClientContext {
  core::Logger& log;  ///< used from several threads where there are several clients
  io::RetryClock& clock;
  std::atomic<std::int64_t>& retries;  ///< counts them
  std::function<bool()> cancelled = {};
  std::uint64_t random_seed = 0;  ///< of the waits between retries
};

/// Asks one thing at a time over a connection that it keeps. Answers are read strictly: anything
/// but what was asked for is a BadAnswer that begins with the URL and shows what came instead, a
/// status but 200 a TeacherError. Throws io::HttpError where there is no answer. A key that the
/// server repeats is `[key]` in all messages, and in answers where it has 12 characters or more.
class OpenAiClient {
 public:
  /// Throws InputError for a URL, a model's name or a key that cannot be sent.
  OpenAiClient(ServerOptions options, const ClientContext& context);
  ~OpenAiClient();

  /// The names of what is served.
  std::vector<std::string> models();
  /// Throws InputError listing what is served where the model is not. Gives the number of tokens
  /// that it can read and write, where the server says so.
  std::optional<std::int64_t> require_model();

  Completion complete(const CompletionRequest& request);
  Completion chat(const ChatRequest& request);
  /// What the model thinks of a prompt; no more than one token is written behind it. Throws as
  /// check_score_size does.
  PromptScores score(ServerApi api, const ScoreRequest& request);
  /// The ids of a text without special ones; nothing where the server has no /tokenize.
  std::optional<std::vector<std::int64_t>> tokenize(const std::string& text);
  /// Connections that were opened so far: behind another one may be another server.
  std::int64_t num_connections() const { return connection_.num_opened(); }
  /// How often something was sent so far, retries with the rest.
  std::int64_t num_sent() const { return num_sent_; }

 private:
  using MaxBytes = std::optional<std::uint64_t>;  ///< of an answer; nothing: the usual limit

  io::HttpResponse send(const std::string& url, const std::string& body, MaxBytes max_bytes = {});
  std::string ask(const std::string& url, const std::string& body, MaxBytes max_bytes = {});
  std::string root() const;
  template <class Parse>
  auto read(const Parse& parse) const;
  [[noreturn]] void refuse(const std::string& url, const io::HttpResponse& response) const;
  std::string shown(std::string text, std::size_t longest) const;

  ServerOptions options_;
  std::unique_ptr<detail::HiddenKey> key_;
  std::int64_t num_sent_ = 0;
  io::HttpConnection connection_;
  io::Retrier retrier_;
};

}  // namespace distill::teachers
