#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <distill/core/describe.h>
#include <distill/core/registry.h>

/// A described struct with every kind of field, for tests of readers and writers.
namespace distill::recipe::sample {

enum class Shape { kRound, kSquare };
constexpr std::array<std::string_view, 2> choice_names(Shape) {
  return {"round", "square"};
}

struct Part {
  std::string path;
  double weight = 1.0;
};
inline void describe(core::FieldVisitor& visit, Part& part) {
  visit.required("path", part.path, "the file");
  visit("weight", part.weight, "its weight");
}
inline void validate(const Part& part, core::Problems& problems) {
  if (part.weight <= 0) problems.add("weight", "must be positive");
}

struct Engine {
  virtual ~Engine() = default;
};
struct Fast {
  std::int64_t speed = 3;
};
inline void describe(core::FieldVisitor& visit, Fast& fast) {
  visit("speed", fast.speed, "how fast");
}
struct Slow {
  std::string reason;
};
inline void describe(core::FieldVisitor& visit, Slow& slow) {
  visit.required("reason", slow.reason, "why it is slow");
}
using Engines = core::Registry<Engine>;
inline Engines make_engines() {
  Engines engines;
  engines.add<Fast>("fast", [](const Fast&) { return new Engine; });
  engines.add<Slow>("slow", [](const Slow&) { return new Engine; });
  return engines;
}

struct Sample {
  explicit Sample(const Engines& registry) : engine(registry, "fast"), more(registry) {}
  std::string name;
  bool flag = false;
  std::int64_t count = 3;
  double rate = 0.5;
  Shape shape = Shape::kRound;
  Part part{"p", 1.0};
  std::optional<Part> extra;
  std::optional<std::int64_t> steps;
  std::vector<double> numbers = {1, 2};
  std::vector<Part> parts;
  std::variant<std::int64_t, std::vector<std::int64_t>> layers = std::int64_t{4};
  core::Component<Engine> engine;
  core::ComponentList<Engine> more;
};
inline void describe(core::FieldVisitor& visit, Sample& s) {
  visit.required("name", s.name, "the name");
  visit("flag", s.flag, "");
  visit("count", s.count, "");
  visit("rate", s.rate, "");
  visit("shape", s.shape, "");
  visit("part", s.part, "");
  visit("extra", s.extra, "");
  visit("steps", s.steps, "");
  visit("numbers", s.numbers, "");
  visit("parts", s.parts, "");
  visit("layers", s.layers, "");
  visit("engine", s.engine, "");
  visit("more", s.more, "");
}
inline void validate(const Sample& s, core::Problems& problems) {
  if (s.count > 100) problems.add("count", "must be at most 100");
  if (s.parts.size() > 1 && s.parts[1].path == "taken") problems.add("parts.1.path", "is taken");
}

}  // namespace distill::recipe::sample
