#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/models/generate.h>
#include <distill/teachers/openai_client.h>
#include <distill/text/chat_template.h>

namespace distill::generation {

struct TextAnswer {
  std::string text;      ///< without blanks around it
  bool cut_off = false;  ///< it did not end by itself: max_new_tokens, or no further position
  std::optional<std::int64_t> num_tokens = {};  ///< with the one that ended it, where it is known
  std::optional<double> mean_log_prob = {};     ///< of its tokens, where it was asked for
  std::string as_written = {};                  ///< the text with the blanks around it
  /// It is cut off for another reason than its length: a server's filter, a call of a tool.
  bool ended_otherwise = false;
};

/// What was said so far; the last turn is the user's.
using Conversation = std::vector<text::ChatMessage>;

/// Something that does what it is told in words: a model in this process, or one that is asked over
/// the network.
class TextGenerator {
 public:
  virtual ~TextGenerator() = default;
  /// An answer to each conversation; nothing where one is too long. The same conversations and seed
  /// give the same answers, as far as the model does. Throws InputError, without a chat template,
  /// for anything but one turn of the user, which is continued.
  virtual std::vector<std::optional<TextAnswer>> converse(const std::vector<Conversation>& chats,
                                                          std::uint64_t seed) = 0;
  /// The same for what a user says first.
  std::vector<std::optional<TextAnswer>> answer(const std::vector<std::string>& prompts,
                                                std::uint64_t seed);
  /// There is no chat template: a prompt is a text to continue.
  virtual bool continues() const { return false; }
  /// False: the same prompt gets the same answer every time.
  virtual bool draws() const { return true; }
  /// `converse` throws Interrupted soon after `stop` is requested; null: never.
  void stop_with(const core::StopFlag* stop) { stop_flag_ = stop; }
  virtual std::string name() const = 0;  ///< for provenance: the model's folder, a server's address
  /// What unfinished work must be of the same of: a model that is served may move to another
  /// address.
  virtual std::string asked_model() const { return name(); }
  virtual std::string hash() const = 0;  ///< of what decides its answers; empty: not known
  /// Options that decide its answers, for people to compare.
  virtual std::vector<std::pair<std::string, std::string>> settings() const = 0;

 protected:
  void stop_if_asked() const;

 private:
  const core::StopFlag* stop_flag_ = nullptr;
};

struct LocalGeneratorOptions {
  std::filesystem::path model;
  /// A prompt is what a user says in this template; none: plain text to continue.
  std::string chat_template = "auto";
  models::GenerateOptions generate = {};
  c10::ScalarType dtype = c10::ScalarType::BFloat16;
  at::Device device = at::kCPU;
};

/// Throws as loading a model and a tokenizer does.
std::unique_ptr<TextGenerator> make_local_generator(const LocalGeneratorOptions& options);

struct ServerGeneratorOptions {
  teachers::ServerOptions server;
  /// auto: a prompt is what a user says, in the template of the server's model; none: plain text to
  /// continue.
  std::string chat_template = "auto";
  std::int64_t max_new_tokens = 256;
  double temperature = 0.7;
  double top_p = 0.9;
  bool log_probs = false;  ///< TextAnswer::mean_log_prob is wanted
};

/// Asks whether the model is served first; throws as teachers::ServerPool does, Interrupted. An
/// answer throws teachers::TeacherError or io::HttpError where the server gives none, Interrupted
/// where `stop` (may be null) is requested. `log` and `stop` must outlive it.
std::unique_ptr<TextGenerator> make_server_generator(const ServerGeneratorOptions& options,
                                                     core::Logger& log, const core::StopFlag* stop);

}  // namespace distill::generation
