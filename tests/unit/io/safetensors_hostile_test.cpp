// Files that lie: each is refused at once, with a message that names what is wrong.
#include <chrono>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <distill/core/error.h>
#include <distill/io/safetensors.h>

#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace distill::io {
namespace {

using namespace std::string_literals;
using testing::message_of;
using testing::safetensors_bytes;
using testing::TempFolder;
namespace fs = std::filesystem;

/// The message for a file of these bytes, without the folder.
template <class E = FormatError>
std::string refusal(const std::string& bytes) {
  const TempFolder folder;
  core::write_file_atomically(folder / "f.safetensors", bytes);
  const auto start = std::chrono::steady_clock::now();
  const std::string message =
      message_of<E>([&] { SafetensorsFile::open(folder / "f.safetensors"); });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1)) << message;
  EXPECT_LT(message.size(), 300u) << message;
  for (const char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << message;
  EXPECT_TRUE(message.starts_with(folder.path().string())) << message;
  return message.substr(std::min(message.size(), (folder.path().string() + "/").size()));
}

std::string length_of(std::uint64_t length) {
  return testing::raw_bytes<std::uint64_t>({length});
}

/// A header with one tensor `w` of these members.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"w\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}}";
}

TEST(HostileSafetensors, TheFirstBytes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "f.safetensors: 0 bytes, expected at least 8"},
      {"1234567", "f.safetensors: 7 bytes, expected at least 8"},
      {length_of(0), "@8: the header must begin with `{`, it begins with ``"},
      {length_of(2), "@0: the header's length is 2, the file holds 0 bytes after it"},
      {length_of(3) + "{}", "@0: the header's length is 3, the file holds 2"},
      {length_of(std::uint64_t{1} << 60) + "{}",
       "@0: the header's length is 1152921504606846976, expected at most"},
      {length_of(UINT64_MAX) + "{}", "length is 18446744073709551615, expected at most 100000000"},
      {length_of(UINT64_MAX - 7) + "{}", "expected at most 100000000"},
      {length_of(100'000'001) + "{}", "expected at most 100000000"},
      {length_of(100'000'000) + "{}", "the file holds 2 bytes"},
      {safetensors_bytes(" {}", ""), "must begin with `{`, it begins with ` {}`"},
      {safetensors_bytes("[]", ""), "must begin with `{`"},
      {safetensors_bytes("\xef\xbb\xbf{}", ""), "it begins with `\\xef\\xbb\\xbf{}`"},
      {safetensors_bytes("\0{}"s, ""), "it begins with `\\x00{}`"},
      {"version https://git-lfs.example/spec/v1\noid sha256:00\nsize 5\n", "a git-lfs pointer"},
      {"PK\x03\x04 and so on, a zip file", "expected at most 100000000"},
  };
  for (const auto& [bytes, expected] : cases) {
    EXPECT_NE(refusal(bytes).find(expected), std::string::npos)
        << refusal(bytes) << "\nexpected: " << expected;
  }
}

TEST(HostileSafetensors, TheHeader) {
  const std::string good = one("\"U8\"", "[4]", "[0,4]");
  const std::string entry = R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  std::string many_ones = "1";
  for (int i = 0; i < 64; ++i) many_ones += ",1";
  const std::vector<std::pair<std::string, std::string>> cases = {
      // Not JSON.
      {"{", "header:1:2: "},
      {"{]", "header:1:2: "},
      {"{}}", "header:1:3: "},
      {"{}\0"s, "header:1:3: a NUL byte"},
      {good.substr(0, good.size() - 1), "unexpected end of input"},
      {good + "x", "header:1:"},
      {"{\"\xff\":" + entry + "}", "header:1:3: "},
      {"{\"w\":" + entry + ",\"w\":" + entry + "}", "name `w` appears twice"},
      {"{\"w\":" + entry + ",\"\\u0077\":" + entry + "}", "name `w` appears twice"},
      {R"({"w":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       "name `dtype` appears twice"},
      {"{\"w\":" + std::string(70, '['), "nested deeper than 3"},
      {std::string(100'000, '{'), "header:1:2: "},
      // Entries.
      {R"({"w":[]})", "`w` must be an object, it is an array"},
      {R"({"w":null})", "`w` must be an object, it is null"},
      {R"({"w":3})", "`w` must be an object, it is an integer"},
      {R"({"w":["U8",[4],[0,4]]})", "`w` must be an object"},
      {R"({"w":{}})", "`w.dtype` is missing"},
      {R"({"w":{"dtype":"U8"}})", "`w.shape` is missing"},
      {R"({"w":{"dtype":"U8","shape":[4]}})", "`w.data_offsets` is missing"},
      {R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"extra":1}})",
       "unknown member `extra`"},
      // Metadata.
      {R"({"__metadata__":[]})", "`__metadata__` must be an object"},
      {R"({"__metadata__":{"a":1}})", "`__metadata__.a` must be a string, it is an integer"},
      {R"({"__metadata__":{"a":null}})", "`__metadata__.a` must be a string"},
      {R"({"__metadata__":{"a":{}}})", "`__metadata__.a` must be a string"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", "name `a` appears twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", "name `__metadata__` appears twice"},
      // Dtypes that are no strings.
      {one("7", "[4]", "[0,4]"), "`w.dtype` must be a string"},
      {one("null", "[4]", "[0,4]"), "`w.dtype` must be a string"},
      // Shapes.
      {one("\"U8\"", "4", "[0,4]"), "`w.shape` must be an array"},
      {one("\"U8\"", "{}", "[0,4]"), "`w.shape` must be an array"},
      {one("\"U8\"", "[-4]", "[0,4]"), "`w.shape[0]` must be an integer from 0"},
      {one("\"U8\"", "[-1,-4]", "[0,4]"), "`w.shape[0]` must be an integer from 0"},
      {one("\"U8\"", "[4.0]", "[0,4]"), "`w.shape[0]` must be an integer"},
      {one("\"U8\"", "[4e0]", "[0,4]"), "`w.shape[0]` must be an integer"},
      {one("\"U8\"", "[\"4\"]", "[0,4]"), "`w.shape[0]` must be an integer"},
      {one("\"U8\"", "[true]", "[0,4]"), "`w.shape[0]` must be an integer"},
      {one("\"U8\"", "[[4]]", "[0,4]"), "nested deeper than 3"},
      {one("\"U8\"", "[18446744073709551620]", "[0,4]"), "does not fit 64 bits"},
      {one("\"U8\"", "[5]", "[0,4]"), "takes 4 bytes, its shape and dtype ask for 5"},
      {one("\"F32\"", "[4]", "[0,4]"), "takes 4 bytes, its shape and dtype ask for 16"},
      {one("\"U8\"", "[1000000000000000000]", "[0,4]"), "ask for 1000000000000000000"},
      {one("\"F64\"", "[1000000000000000000,8]", "[0,4]"),
       "`w.shape` is larger than any file can be"},
      {one("\"U8\"", "[4294967296,4294967296,1]", "[0,4]"), "is larger than any file"},
      {one("\"F32\"", "[4611686018427387904]", "[0,4]"), "is larger than any file"},
      {one("\"F32\"", "[4611686018427387905]", "[0,4]"), "is larger than any file"},
      {one("\"U8\"", "[9223372036854775807,2,0]", "[0,0]"), "is larger than any file"},
      {one("\"U8\"", "[" + many_ones + "]", "[0,1]"), "has 65 dimensions, expected at most 64"},
      // Offsets.
      {one("\"U8\"", "[4]", "4"), "`w.data_offsets` must be an array"},
      {one("\"U8\"", "[4]", "[]"), "must be two numbers, it has 0"},
      {one("\"U8\"", "[4]", "[0]"), "must be two numbers, it has 1"},
      {one("\"U8\"", "[4]", "[0,4,8]"), "must be two numbers, it has 3"},
      {one("\"U8\"", "[4]", "[-4,0]"), "`w.data_offsets[0]` must be an integer from 0"},
      {one("\"U8\"", "[4]", "[0.0,4]"), "`w.data_offsets[0]` must be an integer"},
      {one("\"U8\"", "[4]", "[\"0\",4]"), "`w.data_offsets[0]` must be an integer"},
      {one("\"U8\"", "[4]", "[4,0]"), "ends at 0, before its begin at 4"},
      {one("\"U8\"", "[4]", "[18446744073709551612,0]"), "does not fit 64 bits"},
      {one("\"U8\"", "[4]", "[9223372036854775803,9223372036854775807]"),
       "expected 0: there is a hole"},
      {one("\"U8\"", "[8]", "[0,8]"), "the header promises 8 bytes of tensors, the file holds 4"},
      {one("\"U8\"", "[3]", "[0,3]"), "1 bytes after the last tensor"},
      {one("\"U8\"", "[3]", "[1,4]"),
       "`w` begins at byte 1 of the data, expected 0: there is a hole"},
      {"{}", "4 bytes after the last tensor"},
      {R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       "`b` begins at byte 2 of the data, expected 3: tensors overlap"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       "tensors overlap"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       "`b` begins at byte 2 of the data, expected 1: there is a hole"},
      {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       "`a` begins at byte 2 of the data, expected 4: tensors overlap"},
      {"{\"" + std::string(5000, 'n') + "\":7}", "must be an object"},
      {"{\"\\u001b[2J\\n\":7}", "`\\x1b[2J\\x0a` must be an object"},
  };
  EXPECT_GE(cases.size(), 60u);
  for (const auto& [header, expected] : cases) {
    const std::string message = refusal(safetensors_bytes(header, "\1\1\1\1"));
    EXPECT_NE(message.find(expected), std::string::npos) << message << "\nexpected: " << expected;
  }
}

TEST(HostileSafetensors, UnknownDtypesAreUnsupported) {
  for (const char* dtype : {"F4", "F6_E2M3", "U64", "C64", "f32", "float32", "", "F32 "}) {
    const std::string message = refusal<UnsupportedError>(
        safetensors_bytes(one('"' + std::string(dtype) + '"', "[4]", "[0,4]"), "1234"));
    EXPECT_NE(message.find("`w` has dtype `" + std::string(dtype) + "`"), std::string::npos)
        << message;
  }
}

TEST(HostileSafetensors, EmptyTensorsMayShareAPlace) {
  const TempFolder folder;
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
      R"("c":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"d":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})";
  core::write_file_atomically(folder / "f", safetensors_bytes(header, "1234"));
  EXPECT_EQ(SafetensorsFile::open(folder / "f").entries().size(), 4u);
}

TEST(HostileSafetensors, BoolsAreZeroOrOne) {
  const TempFolder folder;
  core::write_file_atomically(folder / "f",
                              safetensors_bytes(one("\"BOOL\"", "[4]", "[0,4]"), "\0\1\2\1"s));
  const SafetensorsFile file = SafetensorsFile::open(folder / "f");
  EXPECT_NE(message_of<FormatError>([&] {
              file.tensor(file.entries()[0]);
            }).find("`w` is BOOL but holds the byte 2"),
            std::string::npos);
}

TEST(HostileSafetensors, EveryTruncationAndBitFlipIsHarmless) {
  const TempFolder folder;
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}";
  std::string data;
  for (int i = 0; i < 8; ++i) {
    const std::string begin = std::to_string(data.size());
    data += std::string(24, static_cast<char>(i));
    header += ",\"layers." + std::to_string(i) +
              ".weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[" + begin + "," +
              std::to_string(data.size()) + "]}";
  }
  const std::string bytes = safetensors_bytes(header + "}", data);
  ASSERT_GT(bytes.size(), 700u);
  const fs::path path = folder / "f";
  // Only errors of ours, or success with all tensors readable.
  const auto read = [&](const std::string& content) {
    {
      core::AppendFile file(path);
      file.append(content);
    }
    bool accepted = false;
    try {
      const SafetensorsFile file = SafetensorsFile::open(path);
      for (const TensorEntry& entry : file.entries()) {
        const at::Tensor tensor = file.tensor(entry);
        EXPECT_EQ(tensor.nbytes(), entry.end - entry.begin);
      }
      accepted = true;
    } catch (const Error&) {
    }
    fs::remove(path);
    return accepted;
  };
  ASSERT_TRUE(read(bytes));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(read(bytes.substr(0, length))) << length;
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    read(damaged);
  }
}

/// A folder with a model in two shards, and an index to be written.
struct Sharded {
  Sharded() {
    const auto shard = [&](const char* file, const std::string& tensor) {
      core::write_file_atomically(
          folder / file,
          safetensors_bytes(
              "{\"" + tensor + R"(":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "1234"));
    };
    shard("m1.safetensors", "a");
    shard("m2.safetensors", "b");
  }
  template <class E = FormatError>
  std::string refusal(const std::string& index) {
    core::write_file_atomically(folder / "model.safetensors.index.json", index);
    const std::string message = message_of<E>([&] { SafetensorsFolder::open(folder.path()); });
    EXPECT_LT(message.size(), 300u);
    for (const char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << message;
    return message;
  }
  TempFolder folder;
};

TEST(HostileIndex, ShardNamesStayInTheFolder) {
  Sharded model;
  ASSERT_EQ(::mkfifo((model.folder / "fifo").c_str(), 0600), 0);
  fs::create_directory(model.folder / "sub");
  for (const char* name :
       {"", ".", "..", "../m1.safetensors", "/dev/zero", "sub/../m1.safetensors",
        "./m1.safetensors", "sub/x.safetensors", "a\\\\b.safetensors", "m1.safetensors\\u0000.txt",
        "/", "m1.safetensors/", "m1\\nerror: x", "m1\\u001b[2J", "m1\\u009b2J"}) {
    const std::string message =
        model.refusal("{\"weight_map\":{\"a\":\"" + std::string(name) + "\"}}");
    EXPECT_NE(message.find("`weight_map.a` names the shard `"), std::string::npos) << message;
    EXPECT_NE(message.find("expected the plain name of a file"), std::string::npos) << message;
  }
  const std::string long_name(256, 'x');
  EXPECT_NE(model.refusal("{\"weight_map\":{\"a\":\"" + long_name + "\"}}").find("plain name"),
            std::string::npos);
  fs::create_symlink("/dev/zero", model.folder / "zero");
  for (const char* name : {"fifo", "sub", "zero"}) {
    const std::string message =
        model.refusal<InputError>("{\"weight_map\":{\"a\":\"" + std::string(name) + "\"}}");
    EXPECT_NE(message.find("not a regular file"), std::string::npos) << message;
  }
  EXPECT_NE(model.refusal<InputError>(R"({"weight_map":{"a":"m3.safetensors"}})")
                .find("m3.safetensors: no such file"),
            std::string::npos);
}

TEST(HostileIndex, MustAgreeWithTheShards) {
  Sharded model;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "index.json:1:1: "},
      {"[]", "the top level must be an object"},
      {"{}", "`weight_map` is missing"},
      {R"({"weight_map":[]})", "`weight_map` must be an object"},
      {R"({"weight_map":{}})", "`weight_map` is empty"},
      {R"({"weight_map":{"a":1}})", "`weight_map.a` must be a string"},
      {R"({"weight_map":{"a":["m1.safetensors"]}})", "`weight_map.a` must be a string"},
      {R"({"weight_map":{"a":"m1.safetensors","a":"m2.safetensors"}})", "name `a` appears twice"},
      {R"({"weight_map":{"a":"m1.safetensors","c":"m2.safetensors"}})",
       "tensors not in the shard it names: `c`; tensors in the shards that it does not place "
       "there: `b`"},
      {R"({"weight_map":{"a":"m2.safetensors","b":"m1.safetensors"}})",
       "not in the shard it names: `a`, `b`; "},
      {R"({"weight_map":{"a":"m1.safetensors","b":"m1.safetensors"}})",
       "not in the shard it names: `b`"},
      {R"({"weight_map":{"a":"m1.safetensors","c":"m1.safetensors","d":"m1.safetensors","e":"m1.safetensors","f":"m1.safetensors"}})",
       "not in the shard it names: `c`, `d`, `e` and 1 more"},
  };
  for (const auto& [index, expected] : cases) {
    const std::string message = model.refusal(index);
    EXPECT_NE(message.find(expected), std::string::npos) << message << "\nexpected: " << expected;
  }
  core::write_file_atomically(
      model.folder / "model.safetensors.index.json",
      R"({"metadata":{"total_size":"wrong, and ignored"},"weight_map":{"a":"m1.safetensors","b":"m2.safetensors"}})");
  EXPECT_EQ(SafetensorsFolder::open(model.folder.path()).tensors().size(), 2u);
}

TEST(HostileIndex, NothingToRead) {
  const TempFolder folder;
  EXPECT_NE(message_of<InputError>([&] {
              SafetensorsFolder::open(folder / "none");
            }).find("no such folder"),
            std::string::npos);
  EXPECT_NE(message_of<InputError>([&] {
              SafetensorsFolder::open(folder.path());
            }).find("holds neither `model.safetensors` nor `model.safetensors.index.json`"),
            std::string::npos);
  core::write_file_atomically(folder / "pytorch_model.bin", "x");
  EXPECT_NE(message_of<UnsupportedError>([&] {
              SafetensorsFolder::open(folder.path());
            }).find("a pickle"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::io
