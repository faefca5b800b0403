#include <distill/io/line_reader.h>

#include <fstream>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <distill/core/error.h>
#include <distill/core/random.h>
#include <distill/io/jsonl.h>

#include "support/temp_folder.h"

namespace distill::io {
namespace {

using testing::message_of;
using testing::TempFolder;

constexpr std::uint64_t kMost = 1 << 20;

std::string gzip(const std::string& text, int level = 6) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string zstd(const std::string& text, bool checksum = true) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0);
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size =
      ZSTD_compress2(context, packed.data(), packed.size(), text.data(), text.size());
  ZSTD_freeCCtx(context);
  EXPECT_EQ(ZSTD_isError(size), 0u);
  packed.resize(size);
  return packed;
}

class LineReaderTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& bytes) {
    std::ofstream(folder_ / "f", std::ios::binary) << bytes;
    return folder_ / "f";
  }
  std::vector<std::string> lines(const std::string& bytes, std::uint64_t most = kMost) {
    LineReader reader(write(bytes), most);
    std::vector<std::string> result;
    while (const auto line = reader.next()) {
      result.push_back(line->too_long ? "TOO LONG" : std::string(line->text));
      EXPECT_EQ(line->number, std::ssize(result));
    }
    EXPECT_FALSE(reader.next());
    EXPECT_EQ(reader.consumed(), bytes.size());
    return result;
  }
  std::string error(const std::string& bytes) {
    const std::string message = message_of<FormatError>([&] { lines(bytes); });
    EXPECT_TRUE(message.starts_with((folder_ / "f").string() + ": ")) << message;
    return message;
  }

  TempFolder folder_;
};

/// Lines of all lengths around the sizes of buffers.
std::string long_text() {
  core::RandomState random(7);
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t size = i % 100 == 0 ? 250'000 + random.below(30'000) : random.below(300);
    for (std::uint64_t c = 0; c < size; ++c) text += static_cast<char>('a' + random.below(26));
    text += '\n';
  }
  return text;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

TEST_F(LineReaderTest, GivesLinesWithoutTheirEnds) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines(""), Lines{});
  EXPECT_EQ(lines("\n"), Lines{""});
  EXPECT_EQ(lines("a\n\nb"), (Lines{"a", "", "b"}));
  EXPECT_EQ(lines("a\r\nb\rc\r\n"), (Lines{"a", "b\rc"}));
  EXPECT_EQ(lines("\xef\xbb\xbf"
                  "a\n\xef\xbb\xbf"
                  "b\n"),
            (Lines{"a",
                   "\xef\xbb\xbf"
                   "b"}));
  EXPECT_EQ(lines("\xef\xbb"), Lines{"\xef\xbb"});
  EXPECT_EQ(lines("123456\n1234567\n12345\r\n12", 5), (Lines{"123456", "TOO LONG", "12345", "12"}))
      << "one more byte is allowed, for a CR";
}

TEST_F(LineReaderTest, PackedFilesGiveTheSameLines) {
  const std::string text = long_text();
  const auto expected = split(text);
  EXPECT_EQ(lines(text), expected);
  EXPECT_EQ(lines(gzip(text)), expected);
  EXPECT_EQ(lines(zstd(text)), expected);
  EXPECT_EQ(lines(gzip("\xef\xbb\xbf"
                       "a\r\n")),
            std::vector<std::string>{"a"});
}

TEST_F(LineReaderTest, PartsThatWerePutTogetherAreRead) {
  const std::vector<std::string> expected = {"ab", "c"};
  EXPECT_EQ(lines(gzip("a") + gzip("b\n") + gzip("") + gzip("c\n")), expected);
  EXPECT_EQ(lines(gzip("ab\nc") + std::string(1000, '\0')), expected) << "padding of a tape";
  EXPECT_EQ(lines(zstd("a") + zstd("") + zstd("b\nc")), expected);
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0xyz", 11);
  EXPECT_EQ(lines(skippable + zstd("ab\nc")), expected);
}

TEST_F(LineReaderTest, CutOffStreamsAreNamedAtEveryLength) {
  for (const bool zipped : {true, false}) {
    const std::string packed =
        zipped ? gzip("some text\nand more\n") : zstd("some text\nand more\n");
    for (std::size_t size = 4; size < packed.size(); ++size) {
      const std::string message = error(packed.substr(0, size));
      EXPECT_NE(message.find("ends early: the file was cut off"), std::string::npos) << message;
    }
  }
}

TEST_F(LineReaderTest, DamageIsNamedOrChangesNothing) {
  const std::string text = "a line that is long enough to be packed, packed, packed, packed\n";
  for (const bool zipped : {true, false}) {
    const std::string packed = zipped ? gzip(text) : zstd(text);
    for (std::size_t at = 4; at < packed.size(); ++at) {
      std::string damaged = packed;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      try {
        LineReader reader(write(damaged), kMost);
        std::string all;
        while (const auto line = reader.next()) all += std::string(line->text) + "\n";
        EXPECT_EQ(all, text) << at;  // a byte that means nothing, such as gzip's time
      } catch (const FormatError& wrong) {
        EXPECT_NE(std::string(wrong.what()).find(" stream "), std::string::npos) << wrong.what();
      }
    }
  }
  EXPECT_NE(error(gzip("a\n") + "rubbish").find("the gzip stream is damaged"), std::string::npos);
}

TEST_F(LineReaderTest, ABombIsPassedOverWithoutBeingHeld) {
  // 4 GiB of blanks in one line would not fit the limit of this test's memory many times over.
  const std::string block(std::size_t{1} << 20, ' ');
  std::string member = gzip(block, 9);
  std::string bomb = gzip("first\n");
  for (int i = 0; i < 512; ++i) bomb += member;
  bomb += gzip("\nlast\n");
  EXPECT_EQ(lines(bomb, kMost / 2), (std::vector<std::string>{"first", "TOO LONG", "last"}));
}

TEST_F(LineReaderTest, OtherFormatsAreNamed) {
  for (const auto& [bytes, name] :
       std::vector<std::pair<std::string, std::string>>{{std::string("\xfd"
                                                                     "7zXZ\0",
                                                                     6),
                                                         "an xz file"},
                                                        {"BZh91AY", "a bzip2 file"},
                                                        {"PK\x03\x04", "a zip archive"},
                                                        {"PAR1", "a Parquet file"}}) {
    const std::string message = message_of<UnsupportedError>([&] { lines(bytes); });
    EXPECT_NE(message.find(name), std::string::npos) << message;
  }
}

TEST_F(LineReaderTest, ZstdFramesThatWantTooMuchMemoryAreRefused) {
  // A frame header with a window of 2^31 bytes: magic, descriptor, window descriptor.
  const std::string header("\x28\xb5\x2f\xfd\x00\xa8", 6);
  EXPECT_NE(error(header + std::string(20, 'x')).find("the zstd stream is damaged: "),
            std::string::npos);
}

TEST_F(LineReaderTest, RowsOfPackedFilesKnowTheirLine) {
  const auto path = write(zstd("{\"n\":1}\n{\"n\":\n"));
  JsonlReader reader(path);
  EXPECT_EQ(reader.next()->source, path.string() + ":1");
  EXPECT_TRUE(
      message_of<FormatError>([&] { reader.next(); }).starts_with(path.string() + ":2:6: "));
}

}  // namespace
}  // namespace distill::io
