#pragma once

#include <array>
#include <string_view>

namespace distill::teachers {

/// How log-probabilities of a prompt are asked for: a completion with `prompt_logprobs`, or
/// SGLang's own /generate.
enum class ServerApi { kVllm, kSglang };
constexpr std::array<std::string_view, 2> choice_names(ServerApi) {
  return {"vllm", "sglang"};
}

}  // namespace distill::teachers
