#include <cmath>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include <distill/data/options.h>

namespace distill::data {
namespace {

DataOptions good() {
  DataOptions options;
  options.train = {{"a.jsonl", 1.0}};
  return options;
}

/// Field -> message of what `validate` finds.
template <class T>
std::map<std::string, std::string> problems_of(const T& options) {
  core::Problems problems;
  validate(options, problems);
  std::map<std::string, std::string> found;
  for (const auto& problem : problems.items()) found[problem.field] = problem.message;
  return found;
}

TEST(DataOptions, DefaultsWithOneFileAreValid) {
  EXPECT_TRUE(problems_of(good()).empty());
  EXPECT_TRUE(problems_of(good().train[0]).empty());
}

TEST(DataOptions, DescribesEveryKeyOfTheRecipe) {
  struct Names : core::FieldVisitor {
    std::vector<std::string> names, required;
    void field(const core::Field& field, const core::ValueRef&) override {
      names.push_back(field.name);
      if (field.required) required.push_back(field.name);
      EXPECT_FALSE(field.doc.empty()) << field.name;
    }
  };
  DataOptions options;
  Names of_options;
  describe(of_options, options);
  EXPECT_EQ(of_options.names,
            (std::vector<std::string>{"train", "eval", "sequence_length", "packing",
                                      "min_packing_use", "long_documents", "on_bad_sample",
                                      "chat_template", "max_eval_rows", "cache"}));
  EXPECT_EQ(of_options.required, std::vector<std::string>{"train"});
  DataFile file;
  Names of_file;
  describe(of_file, file);
  EXPECT_EQ(of_file.names, (std::vector<std::string>{"path", "weight", "label", "label_field"}));
  EXPECT_EQ(of_file.required, std::vector<std::string>{"path"});
}

TEST(DataOptions, ReadersCanChangeEveryField) {
  struct SetInteger : core::FieldVisitor {
    void field(const core::Field& field, const core::ValueRef& value) override {
      if (field.name == "sequence_length") *std::get<std::int64_t*>(value) = 77;
      if (field.name == "packing") *std::get<bool*>(value) = false;
      if (field.name == "chat_template") *std::get<std::string*>(value) = "none";
    }
  };
  DataOptions options = good();
  SetInteger visitor;
  describe(visitor, options);
  EXPECT_EQ(options.sequence_length, 77);
  EXPECT_FALSE(options.packing);
  EXPECT_EQ(options.chat_template, "none");
}

TEST(DataOptions, SequenceLengthHasARange) {
  for (const std::int64_t length : {2, 2048, 1048576}) {
    DataOptions options = good();
    options.sequence_length = length;
    EXPECT_TRUE(problems_of(options).empty()) << length;
  }
  for (const std::int64_t length : {1, 0, -5, 1048577}) {
    DataOptions options = good();
    options.sequence_length = length;
    EXPECT_EQ(problems_of(options).at("sequence_length"),
              "must be from 2 to 1048576, it is " + std::to_string(length));
  }
}

TEST(DataOptions, WeightsMustBePositiveAndFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double weight : {0.0, -1.0, infinity, -infinity, std::nan("")}) {
    EXPECT_EQ(problems_of(DataFile{"a", weight}).count("weight"), 1u) << weight;
  }
  EXPECT_EQ(problems_of(DataFile{"a", -1}).at("weight"), "must be a positive number, it is -1");
  EXPECT_EQ(problems_of(DataFile{"", 1}).at("path"), "must name a file, it is empty");
}

TEST(DataOptions, WeightsFarApartAreRefused) {
  DataOptions options = good();
  options.train = {{"a", 0.001}, {"b", 1}};
  EXPECT_TRUE(problems_of(options).empty());
  options.train = {{"a", 0.0001}, {"b", 1}};
  EXPECT_EQ(problems_of(options).at("train"),
            "weights must lie within a factor of 1000, they go from 0.0001 to 1");
}

TEST(DataOptions, OtherFieldsAreChecked) {
  DataOptions options = good();
  options.train.clear();
  options.chat_template = "llama9";
  options.max_eval_rows = -1;
  const auto found = problems_of(options);
  EXPECT_EQ(found.at("train"), "must name at least one file");
  EXPECT_EQ(found.at("chat_template"),
            "must be one of auto, chatml, llama3, deepseek, mistral, qwen3, none, it is `llama9`");
  EXPECT_EQ(found.at("max_eval_rows"), "must not be negative, it is -1");
}

}  // namespace
}  // namespace distill::data
