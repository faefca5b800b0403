// A student whose teacher does not do what it should: nothing is ever learned from it.
#include <chrono>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <distill/teachers/local_teacher.h>
#include <distill/teachers/process_teacher.h>
#include <distill/teachers/teacher_service.h>

#include "support/channel_pair.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::teachers {
namespace {

using io::TeacherMessage;
using testing::bytes_of;
using testing::message_of;
using namespace std::chrono_literals;

std::uint32_t kind_of(TeacherMessage message) {
  return static_cast<std::uint32_t>(message);
}

types::Batch some_batch() {
  types::Batch batch;
  batch.input = types::pack({{1, 2, 3}});
  batch.loss_mask = at::ones({3}, at::kBool);
  batch.labels = at::zeros({3}, at::kLong);
  return batch;
}

/// What a teacher of 4 ids and hidden states of 2 numbers says of itself.
io::TeacherFacts facts() {
  io::TeacherFacts facts;
  facts.model = "fake";
  facts.weights = facts.tokenizer = std::string(32, '0');
  facts.dtype = "fp32";
  facts.hidden_size = 2;
  facts.vocabulary = 4;
  facts.max_positions = 10;
  return facts;
}

/// A teacher that a test writes, step by step.
struct Script {
  std::string hello = io::write_teacher_hello(facts());
  std::int64_t head_bytes = 32;
  bool head_is_finite = true;
  /// Called with the first request.
  std::function<void(dist::Channel&, const io::TeacherRequest&)> answer = {};
  double timeout = 10;
};

void send_data(dist::Channel& channel, TeacherMessage kind, std::span<const std::byte> body,
               std::int64_t bytes, bool finite = true) {
  const auto bulk = channel.make_bulk(static_cast<std::uint64_t>(bytes));
  bulk->bytes().fill_(finite ? 0 : 0xff);
  channel.send(kind_of(kind), body, bulk);
}

void play(dist::Listener& listener, const Script& script) {
  const auto channel = listener.accept(10);
  try {
    channel->set_limits({1 << 20, 0});
    while (const auto message = channel->receive(2)) {
      if (message->kind == kind_of(TeacherMessage::kHello)) {
        channel->send(message->kind, bytes_of(script.hello));
      } else if (message->kind == kind_of(TeacherMessage::kGetHead)) {
        send_data(*channel, TeacherMessage::kHead, {}, script.head_bytes, script.head_is_finite);
      } else if (message->kind == kind_of(TeacherMessage::kRequest)) {
        script.answer(*channel, io::read_request(message->body, "student"));
      } else {
        return;
      }
    }
  } catch (const DistributedError&) {  // the student has had enough
  }
}

/// What the student throws when its teacher follows the script.
template <class E>
std::string refusal(const Script& script) {
  const std::string name = testing::scratch_name();
  const auto listener = dist::listen_shared(name);
  std::thread teacher([&] { play(*listener, script); });
  const auto message = message_of<E>([&] {
    ProcessTeacher student(dist::connect_shared(name, {.timeout_seconds = 10}),
                           {.where = "`fake`", .timeout_seconds = script.timeout}, nullptr);
    student.signal(some_batch());
  });
  teacher.join();
  EXPECT_LT(message.size(), 300u) << message;
  return message;
}

Script answering(std::function<void(dist::Channel&, const io::TeacherRequest&)> answer) {
  Script script;
  script.answer = std::move(answer);
  return script;
}

std::vector<std::byte> to(const io::TeacherRequest& request, std::uint64_t more = 0) {
  return io::write_answer({request.number + more, ""});
}

TEST(HostileTeacher, AnotherProtocolIsRefused) {
  Script script;
  script.hello.replace(script.hello.find("\"version\":1"), 11, "\"version\":9");
  EXPECT_NE(refusal<FormatError>(script).find("speaks version 9"), std::string::npos);
  script.hello = "HTTP/1.1 400 Bad Request";
  EXPECT_FALSE(refusal<FormatError>(script).empty());
}

TEST(HostileTeacher, AHeadOfAnotherSizeIsRefused) {
  Script script;
  script.head_bytes = 24;
  EXPECT_NE(refusal<FormatError>(script).find("head of 24 bytes, expected 32"), std::string::npos);
  script.head_bytes = 40;
  EXPECT_NE(refusal<TeacherError>(script).find("expected at most"), std::string::npos);
}

TEST(HostileTeacher, AHeadThatIsNotFiniteIsRefused) {
  Script script;
  script.head_is_finite = false;
  EXPECT_NE(refusal<TeacherError>(script).find("its head holds NaN"), std::string::npos);
}

TEST(HostileTeacher, AnAnswerOfAnotherSizeIsRefused) {
  const auto script = answering([](dist::Channel& channel, const io::TeacherRequest& request) {
    send_data(channel, TeacherMessage::kAnswer, to(request), 16);
  });
  EXPECT_NE(refusal<TeacherError>(script).find("of 16 bytes, expected 24"), std::string::npos);
}

TEST(HostileTeacher, AnAnswerWithoutDataIsRefused) {
  const auto script = answering([](dist::Channel& channel, const io::TeacherRequest& request) {
    channel.send(kind_of(TeacherMessage::kAnswer), to(request));
  });
  EXPECT_NE(refusal<TeacherError>(script).find("of 0 bytes, expected 24"), std::string::npos);
}

TEST(HostileTeacher, AnAnswerThatIsTooLargeIsRefused) {
  const auto script = answering([](dist::Channel& channel, const io::TeacherRequest& request) {
    send_data(channel, TeacherMessage::kAnswer, to(request), 4096);
  });
  EXPECT_NE(refusal<TeacherError>(script).find("4096 of data, expected at most"),
            std::string::npos);
}

TEST(HostileTeacher, AnAnswerToAnotherRequestIsRefused) {
  const auto script = answering([](dist::Channel& channel, const io::TeacherRequest& request) {
    send_data(channel, TeacherMessage::kAnswer, to(request, 1), 24);
  });
  EXPECT_NE(refusal<TeacherError>(script).find("which is not open"), std::string::npos);
}

TEST(HostileTeacher, NotFiniteNumbersAreRefused) {
  const auto script = answering([](dist::Channel& channel, const io::TeacherRequest& request) {
    send_data(channel, TeacherMessage::kAnswer, to(request), 24, /*finite=*/false);
  });
  EXPECT_NE(refusal<TeacherError>(script).find("its answer holds NaN"), std::string::npos);
}

TEST(HostileTeacher, AnUnknownMessageIsRefused) {
  const auto script = answering(
      [](dist::Channel& channel, const io::TeacherRequest&) { channel.send(99, bytes_of("?")); });
  EXPECT_NE(refusal<TeacherError>(script).find("kind 99"), std::string::npos);
}

TEST(HostileTeacher, AShortAnswerIsRefused) {
  const auto script = answering([](dist::Channel& channel, const io::TeacherRequest&) {
    send_data(channel, TeacherMessage::kAnswer, bytes_of("1234"), 24);
  });
  EXPECT_NE(refusal<TeacherError>(script).find("an answer of 4 bytes"), std::string::npos);
}

TEST(HostileTeacher, ATeacherThatSaysByeInTheMiddleIsGone) {
  const auto script = answering([](dist::Channel& channel, const io::TeacherRequest&) {
    channel.send(kind_of(TeacherMessage::kBye), {});
  });
  EXPECT_NE(refusal<TeacherError>(script).find("was ended"), std::string::npos);
}

TEST(HostileTeacher, SilenceEndsAfterTheTimeOut) {
  auto script = answering(
      [](dist::Channel&, const io::TeacherRequest&) { std::this_thread::sleep_for(700ms); });
  script.timeout = 0.3;
  EXPECT_NE(refusal<TeacherError>(script).find("silent for"), std::string::npos);
}

TEST(HostileStudent, IsDroppedAndOthersAreServed) {
  const std::string name = testing::scratch_name();
  const auto listener = dist::listen_shared(name);
  const auto teacher = make_local_teacher(std::make_shared<testing::ToyModel>(), "toy");
  testing::RecordingLogger log;
  core::StopFlag stop;
  ServiceOptions options;
  options.facts = facts();
  options.facts.max_positions = 100;
  options.stay = true;
  std::thread server([&] { serve_teacher(*teacher, *listener, options, log, &stop); });
  const auto connect = [&] { return dist::connect_shared(name, {.timeout_seconds = 10}); };
  const std::string hello = io::write_student_hello();
  const std::vector<std::function<void(dist::Channel&)>> students = {
      [](dist::Channel& c) { c.send(kind_of(TeacherMessage::kRequest), bytes_of("early")); },
      [](dist::Channel& c) { c.send(kind_of(TeacherMessage::kHello), bytes_of("{}")); },
      [](dist::Channel& c) {
        c.send(kind_of(TeacherMessage::kHello), std::vector<std::byte>(70'000));
      },
      [&](dist::Channel& c) {
        c.send(kind_of(TeacherMessage::kHello), bytes_of(hello));
        c.send(kind_of(TeacherMessage::kRequest), bytes_of("no request"));
      },
      [&](dist::Channel& c) {
        c.send(kind_of(TeacherMessage::kHello), bytes_of(hello));
        c.send(kind_of(TeacherMessage::kHello), bytes_of(hello));
      },
      [&](dist::Channel& c) {
        c.send(kind_of(TeacherMessage::kHello), bytes_of(hello));
        io::TeacherRequest nothing;
        nothing.ids = {1, 2};
        nothing.segments = {0, 2};
        nothing.counts = {false, false};
        c.send(kind_of(TeacherMessage::kRequest), io::write_request(nothing));
      }};
  for (const auto& student : students) {
    const auto channel = connect();
    channel->set_limits({1 << 20, 1 << 20});
    EXPECT_FALSE(message_of<DistributedError>([&] {
                   student(*channel);
                   while (channel->receive(10)) {
                   }
                   ADD_FAILURE() << "was not dropped";
                 }).empty());
  }
  ProcessTeacher good(connect(), {.where = name}, nullptr);
  EXPECT_EQ(std::get<types::DenseHidden>(good.signal(some_batch())).hidden.size(0), 3);
  stop.request(1);
  server.join();
  EXPECT_GE(log.lines.size(), students.size());
}

}  // namespace
}  // namespace distill::teachers
