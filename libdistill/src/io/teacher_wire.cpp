#include <distill/io/teacher_wire.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

namespace distill::io {

static_assert(std::endian::native == std::endian::little, "messages are little-endian");

namespace {

// Part of the protocol, do not change.
constexpr const char* kFormat = "distill-teacher";
constexpr std::uint32_t kWhole = 1;

constexpr std::int64_t kMostWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMostIds = std::int64_t{1} << 24;
constexpr std::size_t kMostReason = 160;

struct RequestHead {
  std::uint64_t number;
  std::uint32_t flags;
  std::uint32_t segments;
  std::uint64_t tokens;
};
static_assert(sizeof(RequestHead) == 24);

void begin_hello(core::JsonWriter& json, const char* role) {
  json.begin_object()
      .member("format", kFormat)
      .member("version", kTeacherWireVersion)
      .member("byte_order", "little")
      .member("role", role);
}

JsonValue parse_hello(std::string_view text, const std::string& who) {
  JsonLimits limits;
  limits.max_bytes = kMostHelloBytes;
  limits.max_depth = 4;
  limits.max_values = 1000;
  return parse_json(text, who, limits);
}

void check_hello(const JsonCursor& hello, const char* role, const std::string& who) {
  if (hello.at("format").as_string() != kFormat) {
    fail<FormatError>(who, ": is no process of distill, it calls itself `",
                      core::printable(hello.at("format").as_string()), "`");
  }
  const std::int64_t version = hello.at("version").as_int();
  if (version != kTeacherWireVersion) {
    fail<FormatError>(who, ": speaks version ", version, " of the protocol, this program ",
                      kTeacherWireVersion, "; use the same version of distill for both");
  }
  if (hello.at("byte_order").as_string() != "little") {
    fail<FormatError>(who, ": has another byte order than this machine");
  }
  if (hello.at("role").as_string() != role) {
    fail<FormatError>(who, ": is a `", core::printable(hello.at("role").as_string()),
                      "`, expected a ", role);
  }
}

std::string hash_in(const JsonCursor& value) {
  const std::string& text = value.as_string();
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (text.size() != 32 || !std::ranges::all_of(text, is_hex)) value.fail("is no fingerprint");
  return text;
}

std::string dtype_in(const JsonCursor& value) {
  const std::string& text = value.as_string();
  if (text != "fp32" && text != "bf16") value.fail("must be fp32 or bf16");
  return text;
}

void add(std::vector<std::byte>& out, const void* data, std::size_t bytes) {
  const auto* first = static_cast<const std::byte*>(data);
  out.insert(out.end(), first, first + bytes);
}

/// Numbers of type T, one after the other; the caller has checked that they are there.
template <class T>
std::vector<std::int64_t> take(std::span<const std::byte>& from, std::size_t count) {
  std::vector<std::int64_t> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    T value = 0;
    std::memcpy(&value, from.data() + i * sizeof(T), sizeof(T));
    values[i] = static_cast<std::int64_t>(value);
  }
  from = from.subspan(count * sizeof(T));
  return values;
}

RequestHead read_head(std::span<const std::byte> body, const std::string& who) {
  RequestHead head{};
  if (body.size() < sizeof(head)) {
    fail<FormatError>(who, ": a request of ", body.size(), " bytes, expected at least ",
                      sizeof(head));
  }
  std::memcpy(&head, body.data(), sizeof(head));
  if (head.tokens < 1 || head.tokens > static_cast<std::uint64_t>(kMostRequestTokens) ||
      head.segments < 1 || head.segments > head.tokens || head.flags > kWhole) {
    fail<FormatError>(who, ": a request of ", head.tokens, " tokens in ", head.segments,
                      " segments with flags ", head.flags, ", expected 1 to ", kMostRequestTokens,
                      " tokens in as many segments at most");
  }
  return head;
}

void check_request(const TeacherRequest& request, const std::string& who) {
  const auto& ends = request.segments;
  const bool rise = std::ranges::adjacent_find(ends, std::greater_equal{}) == ends.end();
  if (!rise || ends.back() != std::ssize(request.ids)) {
    fail<FormatError>(who, ": the segments of a request do not follow each other");
  }
  const auto wrong = std::ranges::find_if(request.ids, [](std::int64_t id) { return id < 0; });
  if (wrong != request.ids.end()) fail<FormatError>(who, ": a request holds the id ", *wrong);
}

}  // namespace

std::string write_student_hello() {
  core::JsonWriter json;
  begin_hello(json, "student");
  return json.end_object().text();
}

void read_student_hello(std::string_view text, const std::string& who) {
  const JsonValue value = parse_hello(text, who);
  check_hello(JsonCursor(value, who), "student", who);
}

std::string write_teacher_hello(const TeacherFacts& facts) {
  core::JsonWriter json;
  begin_hello(json, "teacher");
  json.member("model", facts.model)
      .member("weights", facts.weights)
      .member("tokenizer", facts.tokenizer)
      .member("dtype", facts.dtype)
      .member("hidden_size", facts.hidden_size)
      .member("vocabulary", facts.vocabulary)
      .member("max_positions", facts.max_positions)
      .member("parameters", facts.parameters)
      .member("scale", facts.scale)
      .member("softcap", facts.softcap);
  return json.end_object().text();
}

TeacherFacts read_teacher_hello(std::string_view text, const std::string& who) {
  const JsonValue value = parse_hello(text, who);
  const JsonCursor hello(value, who);
  check_hello(hello, "teacher", who);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  TeacherFacts facts;
  facts.model = core::printable(hello.at("model").as_string(), 200);
  facts.weights = hash_in(hello.at("weights"));
  facts.tokenizer = hash_in(hello.at("tokenizer"));
  facts.dtype = dtype_in(hello.at("dtype"));
  facts.hidden_size = hello.at("hidden_size").int_in(1, kMostWidth);
  facts.vocabulary = hello.at("vocabulary").int_in(1, kMostIds);
  facts.max_positions = hello.at("max_positions").int_in(1, kMost);
  facts.parameters = hello.at("parameters").int_in(0, kMost);
  facts.scale = hello.at("scale").as_double();
  facts.softcap = hello.at("softcap").as_double();
  if (facts.scale == 0) hello.at("scale").fail("must not be 0");
  if (facts.softcap < 0) hello.at("softcap").fail("must not be negative");
  return facts;
}

std::vector<std::byte> write_request(const TeacherRequest& request) {
  if (std::ssize(request.ids) > kMostRequestTokens) {
    fail<InputError>("a batch of ", request.ids.size(), " tokens; a teacher's process takes ",
                     kMostRequestTokens, " at once, use a smaller `train.micro_batch_size`");
  }
  const RequestHead head{request.number, request.whole ? kWhole : 0,
                         static_cast<std::uint32_t>(request.segments.size() - 1),
                         request.ids.size()};
  std::vector<std::byte> out;
  out.reserve(sizeof(head) + request.ids.size() * 5 + request.segments.size() * 4);
  add(out, &head, sizeof(head));
  for (std::size_t s = 1; s < request.segments.size(); ++s) {
    const auto end = static_cast<std::uint32_t>(request.segments[s]);
    add(out, &end, sizeof(end));
  }
  for (const std::int64_t id : request.ids) {
    const auto narrow = core::checked_cast<std::int32_t>(id);
    if (!narrow || id < 0) fail<InputError>("the id ", id, " fits no request to a teacher");
    add(out, &*narrow, sizeof(*narrow));
  }
  for (const bool counts : request.counts) out.push_back(std::byte{counts});
  return out;
}

TeacherRequest read_request(std::span<const std::byte> body, const std::string& who) {
  const RequestHead head = read_head(body, who);
  const std::uint64_t expected = sizeof(head) + 4ull * head.segments + 5ull * head.tokens;
  if (body.size() != expected) {
    fail<FormatError>(who, ": a request of ", body.size(), " bytes, expected ", expected, " for ",
                      head.tokens, " tokens in ", head.segments, " segments");
  }
  TeacherRequest request;
  request.number = head.number;
  request.whole = (head.flags & kWhole) != 0;
  body = body.subspan(sizeof(head));
  request.segments = take<std::uint32_t>(body, head.segments);
  request.segments.insert(request.segments.begin(), 0);
  request.ids = take<std::int32_t>(body, head.tokens);
  for (const std::byte counts : body) request.counts.push_back(counts != std::byte{0});
  check_request(request, who);
  return request;
}

std::vector<std::byte> write_answer(const TeacherAnswer& answer) {
  std::vector<std::byte> out;
  add(out, &answer.number, sizeof(answer.number));
  const std::string reason = answer.reason.substr(0, kMostReason);
  add(out, reason.data(), reason.size());
  return out;
}

TeacherAnswer read_answer(std::span<const std::byte> body, const std::string& who) {
  TeacherAnswer answer;
  if (body.size() < sizeof(answer.number) || body.size() > sizeof(answer.number) + kMostReason) {
    fail<FormatError>(who, ": an answer of ", body.size(), " bytes, expected ",
                      sizeof(answer.number), " to ", sizeof(answer.number) + kMostReason);
  }
  std::memcpy(&answer.number, body.data(), sizeof(answer.number));
  const auto text = body.subspan(sizeof(answer.number));
  answer.reason =
      core::printable({reinterpret_cast<const char*>(text.data()), text.size()}, kMostReason);
  return answer;
}

}  // namespace distill::io
