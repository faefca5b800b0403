#include <distill/io/safetensors.h>

#include <csignal>
#include <map>
#include <set>

#include <sys/resource.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/json_value.h>

#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace distill::io {
namespace {

using testing::message_of;
using testing::raw_bytes;
using testing::safetensors_bytes;
using testing::TempFolder;
namespace fs = std::filesystem;

fs::path reference(const std::string& name) {
  return fs::path(DISTILL_SOURCE_DIR) / "tests" / "reference" / name;
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& item : fs::directory_iterator(folder))
    names.insert(item.path().filename().string());
  return names;
}

TEST(SafetensorsFile, ReadsBytesWrittenByHand) {
  const TempFolder folder;
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},)"
      R"("i":{"data_offsets":[0,8],"shape":[],"dtype":"I64"}}   )";
  const std::string data = raw_bytes<std::int64_t>({-5}) + raw_bytes<float>({0, 1, 2, 3, 4, 5.5});
  core::write_file_atomically(folder / "f.safetensors", safetensors_bytes(header, data));

  const SafetensorsFile file = SafetensorsFile::open(folder / "f.safetensors");
  ASSERT_EQ(file.entries().size(), 2u);
  EXPECT_EQ(file.entries()[0].name, "i");  // in order of the bytes
  EXPECT_EQ(file.entries()[1].name, "w");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensor(*file.find("i")).item<std::int64_t>(), -5);
  const at::Tensor w = file.tensor(*file.find("w"));
  EXPECT_EQ(w.sizes(), (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(w.scalar_type(), at::kFloat);
  EXPECT_EQ(w[1][2].item<float>(), 5.5f);
  EXPECT_EQ(file.find("missing"), nullptr);
}

TEST(SafetensorsFile, TensorsAliasTheFileAndKeepItAlive) {
  const TempFolder folder;
  write_safetensors(folder / "f", {{"a", at::arange(1000, at::kFloat)}}, {});
  at::Tensor first;
  at::Tensor second;
  {
    const SafetensorsFile file = SafetensorsFile::open(folder / "f");
    first = file.tensor(file.entries()[0]);
    second = file.tensor(file.entries()[0]);
  }
  EXPECT_EQ(first.const_data_ptr(), second.const_data_ptr());
  EXPECT_EQ(first.sum().item<float>(), 499500.0f);
}

TEST(SafetensorsFile, MisalignedTensorsAreCopied) {
  const TempFolder folder;
  const std::string header =
      R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"f":{"dtype":"F32","shape":[2],"data_offsets":[3,11]}})";
  core::write_file_atomically(folder / "f",
                              safetensors_bytes(header, "abc" + raw_bytes<float>({1.5f, -2.0f})));
  const SafetensorsFile file = SafetensorsFile::open(folder / "f");
  const at::Tensor f = file.tensor(*file.find("f"));
  EXPECT_TRUE(at::equal(f, at::tensor({1.5f, -2.0f})));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(f.const_data_ptr()) % 4, 0u);
  EXPECT_FALSE(file.is_aligned(*file.find("f")));
}

TEST(SafetensorsFile, ReadsWhatPythonWrote) {
  const SafetensorsFile file = SafetensorsFile::open(reference("all_dtypes.safetensors"));
  EXPECT_EQ(file.metadata().at("generated_by"), "tests/reference/gen_safetensors.py");
  EXPECT_TRUE(file.is_aligned(*file.find("f32")));
  const at::Tensor ramp = at::arange(-6, 6, at::kDouble).reshape({3, 4});
  const std::map<std::string, c10::ScalarType> dtypes = {
      {"f64", at::kDouble},         {"f32", at::kFloat}, {"f16", at::kHalf},
      {"bf16", at::kBFloat16},      {"i64", at::kLong},  {"i32", at::kInt},
      {"i16", at::kShort},          {"i8", at::kChar},   {"f8_e4m3", at::kFloat8_e4m3fn},
      {"f8_e5m2", at::kFloat8_e5m2}};
  for (const auto& [name, dtype] : dtypes) {
    ASSERT_NE(file.find(name), nullptr) << name;
    const at::Tensor tensor = file.tensor(*file.find(name));
    EXPECT_EQ(tensor.scalar_type(), dtype) << name;
    EXPECT_TRUE(at::equal(tensor.to(at::kDouble), ramp)) << name;
  }
  EXPECT_TRUE(at::equal(file.tensor(*file.find("u8")).to(at::kDouble), ramp + 6));
  EXPECT_TRUE(at::equal(file.tensor(*file.find("bool")), ramp > 0));
  EXPECT_EQ(file.tensor(*file.find("scalar")).dim(), 0);
  EXPECT_EQ(file.tensor(*file.find("empty")).sizes(), (std::vector<std::int64_t>{0, 7}));
  EXPECT_NE(file.find("caf\xc3\xa9 \"x\"\n"), nullptr);
  EXPECT_EQ(file.entries().size(), 15u);
}

TEST(SafetensorsWriter, BytesAreExactlyThese) {
  const TempFolder folder;
  write_safetensors(folder / "f",
                    {{"b", at::tensor({1.0f, 2.0f})}, {"a", at::tensor({7}, at::kChar)}},
                    {{"format", "pt"}});
  std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"I8","shape":[1],"data_offsets":[8,9]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(core::read_file(folder / "f", 1 << 20),
            safetensors_bytes(header, raw_bytes<float>({1.0f, 2.0f}) + "\x07"));
}

TEST(SafetensorsWriter, RoundTripOfEveryDtypeAndLayout) {
  const TempFolder folder;
  const at::Tensor base = at::arange(24, at::kFloat).reshape({2, 3, 4});
  const std::vector<NamedTensor> tensors = {
      {"transposed", base.transpose(0, 2)},
      {"slice", base.slice(2, 1, 4, 2)},
      {"expanded", at::ones({1, 3}).expand({5, 3})},
      {"offset", base.select(0, 1)},
      {"double", base.to(at::kDouble)},
      {"half", base.to(at::kHalf)},
      {"bf16", base.to(at::kBFloat16)},
      {"long", base.to(at::kLong) - 9'000'000'000},
      {"int", base.to(at::kInt)},
      {"short", base.to(at::kShort)},
      {"char", base.to(at::kChar)},
      {"byte", base.to(at::kByte)},
      {"bool", base > 5},
      {"scalar", at::full({}, 2.5)},
      {"empty", at::zeros({3, 0, 2})},
      {"with grad", at::ones({2}).requires_grad_()},
  };
  write_safetensors(folder / "f", tensors, {});
  const SafetensorsFile file = SafetensorsFile::open(folder / "f");
  ASSERT_EQ(file.entries().size(), tensors.size());
  EXPECT_TRUE(file.metadata().empty());
  for (const auto& [name, expected] : tensors) {
    const at::Tensor actual = file.tensor(*file.find(name));
    EXPECT_EQ(actual.scalar_type(), expected.scalar_type()) << name;
    EXPECT_TRUE(at::equal(actual, expected)) << name;
  }
  write_safetensors(folder / "again", tensors, {});
  EXPECT_EQ(core::read_file(folder / "f", 1 << 20), core::read_file(folder / "again", 1 << 20));
}

TEST(SafetensorsWriter, RefusesWhatTheFormatCannotHold) {
  const TempFolder folder;
  const at::Tensor one = at::ones({1});
  const auto refusal = [&](const std::vector<NamedTensor>& tensors) {
    return message_of<InputError>([&] { write_safetensors(folder / "f", tensors, {}); });
  };
  EXPECT_NE(refusal({{"a", one}, {"a", one}}).find("tensor `a` is given twice"), std::string::npos);
  EXPECT_NE(refusal({{"a", at::Tensor()}}).find("is undefined"), std::string::npos);
  EXPECT_NE(refusal({{"\xff", one}}).find("`\\xff` must have a name in UTF-8"), std::string::npos);
  EXPECT_NE(refusal({{"__metadata__", one}}).find("reserved for metadata"), std::string::npos);
  EXPECT_NE(refusal({{"c", one.to(at::kComplexFloat)}}).find("`c` has dtype ComplexFloat"),
            std::string::npos);
  EXPECT_NE(refusal({{"s", one.to_sparse()}}).find("not a dense tensor"), std::string::npos);
  EXPECT_NE(refusal({{"m", one.to(at::kMeta)}}).find("not a dense tensor"), std::string::npos);
  EXPECT_TRUE(names_in(folder.path()).empty());
  EXPECT_THROW(write_safetensors(folder / "f", {}, {{"k", "\xff"}}), InputError);
}

TEST(SafetensorsWriter, NoTensorsIsAFileToo) {
  const TempFolder folder;
  write_safetensors(folder / "f", {}, {});
  EXPECT_TRUE(SafetensorsFile::open(folder / "f").entries().empty());
}

TEST(SafetensorsWriter, FullDiskLeavesNothingAndKeepsTheOldFile) {
  const TempFolder folder;
  write_safetensors(folder / "f", {{"a", at::ones({4})}}, {});
  const std::string before = core::read_file(folder / "f", 1 << 20);
  // A limit on the size of files stands for the end of the disk.
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit{64 << 10, old_limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string message = message_of<IoError>([&] {
    write_safetensors(folder / "f", {{"a", at::zeros({1 << 20})}}, {});
  });
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_NE(message.find("could not write it: File too large"), std::string::npos) << message;
  EXPECT_EQ(core::read_file(folder / "f", 1 << 20), before);
  EXPECT_EQ(names_in(folder.path()), (std::set<std::string>{"f"}));
}

TEST(SafetensorsFolder, ReadsWhatPythonWrote) {
  const SafetensorsFolder model = SafetensorsFolder::open(reference("sharded"));
  ASSERT_EQ(model.tensors().size(), 3u);
  EXPECT_EQ(model.files().size(), 2u);
  const auto at = [&](const std::string& name) {
    const auto& place = model.tensors().at(name);
    return place.file->tensor(*place.entry);
  };
  EXPECT_TRUE(at::equal(at("a"), at::ones({2, 2})));
  EXPECT_TRUE(at::equal(at("b"), at::full({3}, 2.0)));
  EXPECT_TRUE(at::equal(at("c"), at::full({1}, 3.0)));
  EXPECT_GT(model.size_bytes(), 32u);
}

TEST(SafetensorsFolder, ShardsByBytesInOrder) {
  const TempFolder folder;
  const std::vector<NamedTensor> tensors = {{"a", at::full({10}, 1.0, at::kFloat)},
                                            {"b", at::full({10}, 2.0, at::kFloat)},
                                            {"big", at::full({100}, 3.0, at::kFloat)},
                                            {"c", at::full({5}, 4.0, at::kFloat)}};
  write_safetensors_folder(folder.path(), tensors, {{"format", "pt"}}, 80);
  EXPECT_EQ(
      names_in(folder.path()),
      (std::set<std::string>{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                             "model-00003-of-00003.safetensors", "model.safetensors.index.json"}));
  const JsonValue index = read_json_file(folder / "model.safetensors.index.json");
  const JsonCursor root(index, "index");
  EXPECT_EQ(root.at("metadata").at("total_size").as_int(), 500);
  EXPECT_EQ(root.at("weight_map").at("b").as_string(), "model-00001-of-00003.safetensors");
  EXPECT_EQ(root.at("weight_map").at("big").as_string(), "model-00002-of-00003.safetensors");
  const SafetensorsFolder model = SafetensorsFolder::open(folder.path());
  for (const auto& [name, expected] : tensors) {
    const auto& place = model.tensors().at(name);
    EXPECT_TRUE(at::equal(place.file->tensor(*place.entry), expected)) << name;
    EXPECT_EQ(place.file->metadata().at("format"), "pt");
  }
}

TEST(SafetensorsFolder, ALaterSaveLeavesNoOlderShards) {
  const TempFolder folder;
  const std::vector<NamedTensor> tensors = {{"a", at::ones({10})}, {"b", at::ones({10})}};
  core::write_file_atomically(folder / "model-card-of-mine.safetensors", "kept");
  core::write_file_atomically(folder / "config.json", "{}");
  write_safetensors_folder(folder.path(), tensors, {}, 40);
  write_safetensors_folder(folder.path(), tensors, {}, 1000);
  EXPECT_EQ(names_in(folder.path()),
            (std::set<std::string>{"config.json", "model-card-of-mine.safetensors",
                                   "model.safetensors"}));
  write_safetensors_folder(folder.path(), tensors, {}, 40);
  EXPECT_FALSE(fs::exists(folder / "model.safetensors"));
  EXPECT_EQ(SafetensorsFolder::open(folder.path()).files().size(), 2u);
}

TEST(SafetensorsFolder, OtherStems) {
  const TempFolder folder;
  write_safetensors_folder(folder.path(), {{"a", at::ones({2})}}, {}, 1000, "adapter_model");
  EXPECT_TRUE(fs::exists(folder / "adapter_model.safetensors"));
  EXPECT_EQ(SafetensorsFolder::open(folder.path(), "adapter_model").tensors().size(), 1u);
  EXPECT_THROW(SafetensorsFolder::open(folder.path()), InputError);
}

TEST(SafetensorsFolder, LinksAreFollowed) {
  const TempFolder blobs;
  const TempFolder folder;
  write_safetensors(blobs / "0123abcd", {{"a", at::ones({2})}}, {});
  fs::create_symlink(blobs / "0123abcd", folder / "model-1.safetensors");
  core::write_file_atomically(folder / "model.safetensors.index.json",
                              R"({"weight_map":{"a":"model-1.safetensors"}})");
  EXPECT_EQ(SafetensorsFolder::open(folder.path()).tensors().size(), 1u);
}

TEST(WriteSafetensors, TensorsMadeOneByOneGiveTheSameFile) {
  const TempFolder folder;
  const std::vector<NamedTensor> tensors = {{"a", at::arange(6, at::kFloat).view({2, 3})},
                                            {"b", at::arange(5, at::kLong)},
                                            {"c", at::empty({0, 4}, at::kBFloat16)}};
  write_safetensors(folder / "whole", tensors, {{"format", "pt"}});
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  }
  std::vector<std::size_t> order;
  write_safetensors(folder / "parts", specs, {{"format", "pt"}}, [&](std::size_t i) {
    order.push_back(i);
    return tensors[i].second;
  });
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(core::read_file(folder / "parts", 1 << 20), core::read_file(folder / "whole", 1 << 20));
}

TEST(WriteSafetensors, ATensorThatIsNotAsAnnouncedLeavesNothing) {
  const TempFolder folder;
  const auto write = [&](const TensorSpec& spec) {
    write_safetensors(folder / "f", {spec}, {}, [](std::size_t) { return at::zeros({2, 3}); });
  };
  for (const TensorSpec& spec : {TensorSpec{"a", at::kFloat, {3, 2}}, {"a", at::kHalf, {2, 3}}}) {
    EXPECT_NE(message_of<InputError>([&] { write(spec); }).find("shape and dtype"),
              std::string::npos);
  }
  const std::int64_t big = std::int64_t{1} << 40;
  EXPECT_THROW(write({"a", at::kFloat, {big, big}}), InputError);
  EXPECT_THROW(write({"a", at::kFloat, {-1}}), InputError);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace distill::io
