#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>

#include <distill/core/error.h>
#include <distill/io/jsonl.h>
#include <distill/io/logit_cache.h>
#include <distill/io/safetensors.h>
#include <distill/io/signal_rows.h>
#include <distill/io/teacher_wire.h>

#include "fuzz/fuzz.h"
#include "io/logit_cache_format.h"
#include "io/sealed_record.h"
#include "support/cache_files.h"
#include "support/temp_folder.h"

namespace distill::fuzz {

void jsonl(std::string_view bytes) {
  const testing::TempFolder folder;
  std::ofstream(folder / "rows.jsonl", std::ios::binary) << bytes;
  try {
    io::JsonlReader reader(folder / "rows.jsonl");
    while (reader.next()) {
    }
  } catch (const InputError&) {
  }
}

void safetensors(std::string_view bytes) {
  const testing::TempFolder folder;
  std::ofstream(folder / "model.safetensors", std::ios::binary) << bytes;
  try {
    const auto file = io::SafetensorsFile::open(folder / "model.safetensors");
    for (const auto& entry : file.entries()) {
      if (entry.begin > entry.end) throw std::logic_error("a tensor ends before it begins");
    }
  } catch (const InputError&) {
  }
}

namespace {

/// The file as if it had been written so.
std::string with_checksum(std::string_view name, std::string content) {
  if (name == "cache.json") return io::sealed(content.substr(0, content.find('\n')));
  if (content.size() < sizeof(io::cache_format::FileHeader)) return content;
  const auto all = std::as_bytes(std::span(content));
  const std::size_t size = sizeof(io::cache_format::FileHeader);
  const auto rest = name == "index" ? all.subspan(size) : all.first(0);
  const std::uint64_t sum = io::cache_format::checksum(all.first(size - sizeof(sum)), rest);
  std::memcpy(content.data() + size - sizeof(sum), &sum, sizeof(sum));
  return content;
}

}  // namespace

void logit_cache(std::string_view bytes) {
  static const testing::TempFolder good;
  static const bool made = (testing::write_small_cache(good / "c", 4), true);
  if (!made || bytes.empty()) return;
  constexpr const char* kFiles[] = {"cache.json", "index", "rank_00000.signals"};
  const testing::TempFolder folder;
  for (const char* name : kFiles) {
    std::filesystem::copy_file(good / "c" / name, folder / name);
  }
  const auto choice = static_cast<unsigned char>(bytes[0]);
  const char* changed = kFiles[choice % 64 % std::size(kFiles)];
  const std::string content(bytes.substr(1));
  std::ofstream(folder / changed, std::ios::binary)
      << (choice < 128 ? content : with_checksum(changed, content));
  try {
    const io::LogitCache cache(folder.path());
    cache.read_all([](const io::LogitCache::Segment& segment) {
      io::decode_top_k(segment.payload, segment.positions, 3, 50'000, segment.where);
    });
  } catch (const InputError&) {
  }
}

void signal_rows(std::string_view bytes) {
  if (bytes.size() < 3) return;
  const auto number = [&](std::size_t i) {
    return static_cast<std::int64_t>(static_cast<unsigned char>(bytes[i]));
  };
  const auto payload = std::as_bytes(std::span(bytes.substr(3)));
  const std::int64_t positions = number(0);
  const std::int64_t vocabulary = 1 + number(1) * number(1) * 40;
  const std::int64_t size = 4 + number(2) % 60;
  const auto check_ids = [&](std::span<const std::int64_t> ids) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const bool rises = i == 0 || ids[i] > ids[i - 1];
      if (ids[i] < 0 || ids[i] >= vocabulary || !rises) throw std::logic_error("a wrong id");
    }
  };
  try {
    const auto rows = io::decode_top_k(payload, positions, size, vocabulary, "x");
    const auto width = static_cast<std::size_t>(size);
    for (std::size_t p = 0; p < static_cast<std::size_t>(positions); ++p) {
      check_ids(std::span(rows.ids).subspan(p * width, width));
    }
  } catch (const InputError&) {
  }
  try {
    const auto rows = io::decode_sampled(payload, positions, size, vocabulary, "x");
    for (std::size_t p = 0; p + 1 < rows.begins.size(); ++p) {
      const auto begin = static_cast<std::size_t>(rows.begins[p]);
      check_ids(
          std::span(rows.ids).subspan(begin, static_cast<std::size_t>(rows.begins[p + 1]) - begin));
    }
    for (const double weight : rows.weights) {
      if (!(weight >= 0 && weight <= 1)) throw std::logic_error("a wrong weight");
    }
  } catch (const InputError&) {
  }
}

void teacher_wire(std::string_view bytes) {
  if (bytes.empty()) return;
  const std::string_view text = bytes.substr(1);
  const auto body = std::as_bytes(std::span(text));
  const auto check = [](bool holds) {
    if (!holds) throw std::logic_error("a message is written as another one");
  };
  try {
    switch (static_cast<unsigned char>(bytes[0]) % 4) {
      case 0:
        return io::read_student_hello(text, "x");
      case 1: {
        const auto facts = io::read_teacher_hello(text, "x");
        const auto again = io::read_teacher_hello(io::write_teacher_hello(facts), "x");
        return check(again.scale == facts.scale && again.head_bytes() == facts.head_bytes());
      }
      case 2: {
        const auto request = io::read_request(body, "x");
        const auto again = io::read_request(io::write_request(request), "x");
        return check(again.ids == request.ids && again.segments == request.segments &&
                     again.counts == request.counts);
      }
      default:
        io::read_answer(body, "x");
    }
  } catch (const InputError&) {
  }
}

}  // namespace distill::fuzz
