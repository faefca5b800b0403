#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What the process of a teacher and that of a student say to each other
/// (docs/formats/teacher_process.md). Readers trust nothing: they throw FormatError naming `who`.
namespace distill::io {

inline constexpr std::int64_t kTeacherWireVersion = 1;  ///< part of the protocol
inline constexpr std::size_t kMostHelloBytes = 64 << 10;
/// Tokens of one request.
inline constexpr std::int64_t kMostRequestTokens = std::int64_t{1} << 22;

/// Kinds of messages. Part of the protocol, do not change.
enum class TeacherMessage : std::uint32_t {
  kHello = 1,    ///< each end's first: who it is
  kGetHead = 2,  ///< student: the facts suit, send the head
  kHead = 3,     ///< teacher: the head, [vocabulary, hidden size]
  kRequest = 4,  ///< student: a batch
  kAnswer = 5,   ///< teacher: its hidden states
  kFailed = 6,   ///< teacher: why there are none
  kBye = 7,      ///< either: is done
};

/// Who a teacher is: all that a student must know of it beforehand.
struct TeacherFacts {
  std::string model;      ///< what people call it
  std::string weights;    ///< tells its weights from others': 32 hex digits
  std::string tokenizer;  ///< fingerprint of its tokenizer: 32 hex digits
  std::string dtype;      ///< of hidden states and head: `fp32` or `bf16`
  std::int64_t hidden_size = 0;
  std::int64_t vocabulary = 0;  ///< rows of the head
  std::int64_t max_positions = 0;
  std::int64_t parameters = 0;
  double scale = 1.0;    ///< as types::LogitTransform
  double softcap = 0.0;  ///< the same

  /// Bytes of one number.
  std::uint64_t width() const { return dtype == "bf16" ? 2 : 4; }
  /// Bytes of one position's hidden state, and of its logits in the same type.
  std::uint64_t hidden_bytes() const { return static_cast<std::uint64_t>(hidden_size) * width(); }
  std::uint64_t logit_bytes() const { return static_cast<std::uint64_t>(vocabulary) * width(); }
  std::uint64_t head_bytes() const {
    return static_cast<std::uint64_t>(vocabulary) * hidden_bytes();
  }
};

std::string write_student_hello();
void read_student_hello(std::string_view text, const std::string& who);
std::string write_teacher_hello(const TeacherFacts& facts);
TeacherFacts read_teacher_hello(std::string_view text, const std::string& who);

/// A batch: segments of ids laid end to end.
struct TeacherRequest {
  std::uint64_t number = 0;  ///< of this student, each once
  /// Answer with a row for every token, zeros where none counts; else with the rows that count.
  bool whole = false;
  std::vector<std::int64_t> ids;       ///< N, each 0 to 2^31 - 1
  std::vector<std::int64_t> segments;  ///< S + 1 offsets as in types::ModelInput
  std::vector<bool> counts;            ///< N: whether the hidden state is wanted
};
std::vector<std::byte> write_request(const TeacherRequest& request);
TeacherRequest read_request(std::span<const std::byte> body, const std::string& who);

/// Which request an answer, or a failure with its reason, belongs to.
struct TeacherAnswer {
  std::uint64_t number = 0;
  std::string reason;  ///< of a failure; printable, 160 characters at most
};
std::vector<std::byte> write_answer(const TeacherAnswer& answer);
TeacherAnswer read_answer(std::span<const std::byte> body, const std::string& who);

}  // namespace distill::io
