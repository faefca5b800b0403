// The harnesses over a small corpus and changes of it that are the same in every run: a short run
// that needs no libFuzzer.
#include <algorithm>

#include <gtest/gtest.h>

#include <distill/core/files.h>
#include <distill/core/random.h>
#include <distill/core/strings.h>

#include "fuzz/fuzz.h"

namespace distill::fuzz {
namespace {

using Harness = void (*)(std::string_view);

const std::string kParts[] = {"\"",
                              "{",
                              "}",
                              "[",
                              "]",
                              ",",
                              ":",
                              "0",
                              "-1",
                              "1e999",
                              "99999999999999999999",
                              "null",
                              "true",
                              "\\u0000",
                              "\\ud800",
                              "\xFF",
                              "\xC3",
                              "\xEF\xBB\xBF",
                              "<s>",
                              " ",
                              "\n",
                              "\r\n",
                              "{%",
                              "{{",
                              "<|im_start|>",
                              "\xCC\x81",
                              std::string(1, '\0'),
                              std::string(300, '[')};

std::string mutated(std::string bytes, const std::string& other, core::RandomState& random) {
  for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
    const auto at = static_cast<std::size_t>(random.below(bytes.size() + 1));
    const auto size = static_cast<std::size_t>(random.below(12));
    switch (random.below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(random.below(256));
        break;
      case 1:
        bytes.insert(at, kParts[random.below(std::size(kParts))]);
        break;
      case 2:
        bytes.erase(at, size);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, size));
        break;
      case 4:
        if (!other.empty()) bytes.insert(at, other.substr(random.below(other.size()), size));
        break;
      default:
        if (random.below(8) == 0) bytes.resize(at);
    }
  }
  return bytes;
}

void run(Harness harness, const std::vector<std::string>& corpus, int trials) {
  core::RandomState random(23);
  for (const std::string& seed : corpus) EXPECT_NO_THROW(harness(seed));
  for (int trial = 0; trial < trials; ++trial) {
    const auto pick = [&] { return corpus[static_cast<std::size_t>(random.below(corpus.size()))]; };
    const std::string bytes = mutated(pick(), pick(), random);
    try {
      harness(bytes);
    } catch (const std::exception& error) {
      FAIL() << error.what() << "\ntrial " << trial << ": " << core::printable(bytes, 2000);
    }
  }
}

std::vector<std::string> files(const std::string& folder) {
  std::vector<std::string> corpus = {""};
  const auto path = std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/fuzz/corpus" / folder;
  std::vector<std::filesystem::path> names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) names.push_back(entry);
  std::ranges::sort(names);
  for (const auto& name : names) corpus.push_back(core::read_file(name, 1 << 20));
  return corpus;
}

TEST(Fuzz, TokenizerJson) {
  run(tokenizer_json, files("tokenizer_json"), 1500);
}

TEST(Fuzz, TokenizerModel) {
  run(tokenizer_model, files("tokenizer_model"), 1000);
}

TEST(Fuzz, BpeEncoder) {
  run(bpe_encoder, files("bpe_encoder"), 4000);
}

TEST(Fuzz, BpeMerges) {
  run(bpe_merges, files("bpe_merges"), 300);
}

TEST(Fuzz, ChatTemplate) {
  run(chat_template, files("chat_template"), 1000);
}

TEST(Fuzz, Jsonl) {
  run(jsonl, files("jsonl"), 1500);
}

TEST(Fuzz, Safetensors) {
  run(safetensors, files("safetensors"), 1500);
}

TEST(Fuzz, LogitCache) {
  run(logit_cache, files("logit_cache"), 600);
}

TEST(Fuzz, Adapter) {
  run(adapter, files("adapter"), 1500);
}

TEST(Fuzz, SignalRows) {
  run(signal_rows, files("signal_rows"), 3000);
}

}  // namespace
}  // namespace distill::fuzz
