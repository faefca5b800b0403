#include "models/fp8_config.h"

#include <string_view>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::models {

namespace {

constexpr std::int64_t kMaxBlock = 1 << 20;

void require_text(const io::JsonCursor& json, std::string_view name, std::string_view expected) {
  if (!json.has(name)) {
    fail<UnsupportedError>(json.where(), " has no ", name, ", only ", expected,
                           " is supported; use a folder in fp32 or bf16");
  }
  const std::string& text = json.at(name).as_string();
  if (text == expected) return;
  fail<UnsupportedError>(json.at(name).where(), " is ", core::printable(text), ", only ", expected,
                         " is supported; use a folder in fp32 or bf16");
}

}  // namespace

std::optional<Fp8Block> read_fp8_block(const io::JsonCursor& config) {
  if (!config.has("quantization_config")) return std::nullopt;
  const io::JsonCursor json = config.at("quantization_config");
  require_text(json, "quant_method", "fp8");
  if (json.has("fmt")) require_text(json, "fmt", "e4m3");
  if (json.has("activation_scheme")) require_text(json, "activation_scheme", "dynamic");
  const io::JsonCursor block = json.at("weight_block_size");
  if (block.size() != 2) block.fail("must hold two numbers, rows and columns");
  return Fp8Block{block.at(0).int_in(1, kMaxBlock), block.at(1).int_in(1, kMaxBlock)};
}

}  // namespace distill::models
