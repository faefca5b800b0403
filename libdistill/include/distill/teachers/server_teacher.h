#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/teachers/openai_client.h>
#include <distill/teachers/teacher.h>

namespace distill::teachers {

struct ServerTeacherOptions {
  ServerOptions server;
  ServerApi api = ServerApi::kVllm;
  std::int64_t top_k = 64;      ///< likeliest ids of each position; the rest is one class
  std::int64_t vocabulary = 0;  ///< ids of the student's tokenizer, which the server's model shares
  /// Of each position only the token of the text is wanted: rows hold one id, the one that follows.
  /// `top_k` is of the probe alone then.
  bool own_tokens = false;
  /// Ids of a text that is asked at the start and again and again, to notice that the model has
  /// changed; at least two.
  std::vector<std::int64_t> probe;
  double check_seconds = 60;  ///< between two questions for it, beside those after trouble
  double max_drift = 0.05;    ///< distance of its answers that rounding explains, 0 to 1
};

/// A model that a server holds. Gives types::TopKLogProbs. Announced batches are asked for in the
/// background, one request for each segment, so that `signal` waits only where the server does not
/// keep up. No request fails for good before its retries are used up; what is no answer is asked
/// for again twice. What then is wrong is thrown by `signal`, and nothing is made up for it.
class ServerTeacher final : public Teacher {
 public:
  /// Asks which models there are and the probe. `log` and `stop` (may be null) must outlive it.
  /// Throws as OpenAiClient does, InputError for options that make no sense, Interrupted.
  ServerTeacher(const ServerTeacherOptions& options, core::Logger& log, const core::StopFlag* stop);
  ~ServerTeacher() override;

  /// Throws TeacherError or io::HttpError where the server gives no usable answer or its model has
  /// changed, Interrupted where `stop` was requested.
  types::TeacherSignal signal(const types::Batch& batch) override;
  void announce(const types::Batch& batch) override;
  /// What the model says to the probe, its 64 likeliest ids at most of each position.
  std::optional<std::string> likeness() const override;
  /// Asks the kept probe again. Throws as `signal` does, and FormatError.
  void require_likeness(const std::string& kept) override;
  std::optional<TeacherCounts> counts() const override;
  std::vector<std::string> summary() const override;
  std::string describe() const override;

  /// How the server spells the ids of its answer to the probe.
  const std::map<std::int64_t, std::string>& token_texts() const;
  /// The server's ids of a text without special ones; nothing where it has no such service.
  std::optional<std::vector<std::int64_t>> tokenize(const std::string& text);
  /// Tokens that its model reads and writes at most, where the server says so.
  std::optional<std::int64_t> max_tokens() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::teachers
