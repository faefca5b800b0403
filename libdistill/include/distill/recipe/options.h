#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <distill/core/describe.h>
#include <distill/io/logit_cache.h>
#include <distill/lora/options.h>
#include <distill/ops/quantized_matrix.h>
#include <distill/teachers/server_api.h>

namespace distill::recipe {

/// What models compute in. Master weights and accumulations are fp32 either way.
enum class Precision { kFp32, kBf16 };
constexpr std::array<std::string_view, 2> choice_names(Precision) {
  return {"fp32", "bf16"};
}
c10::ScalarType dtype_of(Precision precision);

enum class Device { kAuto, kCpu, kCuda };
constexpr std::array<std::string_view, 3> choice_names(Device) {
  return {"auto", "cpu", "cuda"};
}
/// Where to run: `auto` is the first GPU if one can be used, else the CPU. Throws UnsupportedError
/// for `cuda` where none can, saying why and what to do.
at::Device choose_device(Device wanted);

/// Whose layers a new student is made of.
enum class InitFrom { kTeacher, kModel };
constexpr std::array<std::string_view, 2> choice_names(InitFrom) {
  return {"teacher", "model"};
}

/// A number of layers, evenly spaced with first and last kept, or the layers themselves.
using KeepLayers = std::variant<std::int64_t, std::vector<std::int64_t>>;

/// Where layers were left out: the start is fitted to what they did (models::fit_layers).
struct FitOptions {
  std::int64_t tokens = 65536;  ///< of the training data, about
  double ridge = 0.1;           ///< keeps weights near what they were
};

struct StudentInit {
  InitFrom from = InitFrom::kTeacher;
  std::optional<KeepLayers> keep_layers;  ///< absent: all
  std::optional<FitOptions> fit = {};
};

struct StudentOptions {
  std::optional<std::string> model;  ///< Hugging Face folder
  std::optional<StudentInit> init;
  std::vector<std::string> freeze;        ///< parameter names not to train; `*` stands for any text
  std::optional<lora::LoraOptions> lora;  ///< train adapters beside a frozen model
  std::optional<ops::WeightFormat> quantize;  ///< of the frozen projections; absent: dense
};

/// `kind: local`: a model in this process.
struct LocalTeacherOptions {
  std::string model;                               ///< Hugging Face folder
  std::optional<ops::WeightFormat> quantize = {};  ///< of its projections; absent: dense
};

/// `kind: base`: the student without its adapters, in the same memory.
struct BaseTeacherOptions {};

/// `kind: cache`: what a teacher said when `distill cache` asked it. Training needs `path` alone;
/// the rest is for the capture, and where it is given the cache must be of it.
struct CacheTeacherOptions {
  std::string path;                           ///< folder
  std::optional<std::string> model;           ///< Hugging Face folder of the teacher
  std::optional<io::SignalForm> form;         ///< absent: top_k
  std::optional<std::int64_t> top_k;          ///< ids of a position; absent: 32
  std::optional<std::int64_t> draws;          ///< of the sampled form; absent: 22
  std::optional<double> temperature;          ///< absent: 1
  std::optional<ops::WeightFormat> quantize;  ///< of the teacher's projections; absent: dense

  io::SignalForm form_or_default() const { return form.value_or(io::SignalForm::kTopK); }
};

/// `kind: server`: a model behind vLLM or SGLang.
struct ServerTeacherOptions {
  std::string url;          ///< http://HOST:PORT/v1
  std::string model;        ///< as the server calls it
  std::int64_t top_k = 64;  ///< likeliest ids of each position
  std::string api_key_env;  ///< name of the variable that holds the key; empty: none
  teachers::ServerApi api = teachers::ServerApi::kVllm;
  std::optional<std::string> tokenizer;  ///< folder with the served model's own
  /// With another tokenizer: tokens of its own that it is sent at most; absent: four times the
  /// student's.
  std::optional<std::int64_t> max_tokens;
  std::int64_t parallel = 8;     ///< requests at one time
  std::int64_t retries = 8;      ///< of one request
  double timeout_seconds = 600;  ///< for one answer
  double check_seconds = 60;     ///< between looks whether the model is still the same
  double max_drift = 0.05;       ///< how far its answers may be apart then
};

/// `kind: process`: a model in another process, `distill teacher`.
struct ProcessTeacherOptions {
  std::optional<std::string> shared;     ///< name of shared memory on this machine; or
  std::optional<std::string> address;    ///< HOST:PORT, over c10d
  std::optional<std::string> tokenizer;  ///< folder with the teacher's own
  double timeout_seconds = 60;           ///< until it is there, and of silence later
};

/// `kind: none`: train on labels alone.
struct NoTeacherOptions {};

void describe(core::FieldVisitor& visit, FitOptions& options);
void describe(core::FieldVisitor& visit, StudentInit& init);
void describe(core::FieldVisitor& visit, StudentOptions& options);
void describe(core::FieldVisitor& visit, LocalTeacherOptions& options);
void describe(core::FieldVisitor& visit, BaseTeacherOptions& options);
void describe(core::FieldVisitor& visit, CacheTeacherOptions& options);
void describe(core::FieldVisitor& visit, ServerTeacherOptions& options);
void describe(core::FieldVisitor& visit, ProcessTeacherOptions& options);
void describe(core::FieldVisitor& visit, NoTeacherOptions& options);
void validate(const FitOptions& options, core::Problems& problems);
void validate(const StudentInit& init, core::Problems& problems);
void validate(const StudentOptions& options, core::Problems& problems);
void validate(const LocalTeacherOptions& options, core::Problems& problems);
void validate(const CacheTeacherOptions& options, core::Problems& problems);
void validate(const ServerTeacherOptions& options, core::Problems& problems);
void validate(const ProcessTeacherOptions& options, core::Problems& problems);

}  // namespace distill::recipe
