#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <c10/core/ScalarType.h>

#include <distill/models/generate.h>

namespace distill::commands {

/// Something that does what it is told in words: a model in this process now; a server that is
/// asked over the network fits here as well.
class TextGenerator {
 public:
  virtual ~TextGenerator() = default;
  /// An answer to each prompt, without blanks around it; nothing where a prompt is too long. The
  /// same prompts and seed give the same answers.
  virtual std::vector<std::optional<std::string>> answer(const std::vector<std::string>& prompts,
                                                         std::uint64_t seed) = 0;
  virtual std::string name() const = 0;  ///< for provenance: the model's folder, a server's address
  virtual std::string hash() const = 0;  ///< of what decides its answers; empty: not known
};

struct LocalGeneratorOptions {
  std::filesystem::path model;
  /// A prompt is what a user says in this template; none: plain text to continue.
  std::string chat_template = "auto";
  models::GenerateOptions generate = {};
  c10::ScalarType dtype = c10::ScalarType::BFloat16;
};

/// Throws as loading a model and a tokenizer does.
std::unique_ptr<TextGenerator> make_local_generator(const LocalGeneratorOptions& options);

}  // namespace distill::commands
