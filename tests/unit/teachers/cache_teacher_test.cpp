#include <distill/teachers/cache_teacher.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/logical_not.h>
#include <ATen/ops/max.h>
#include <ATen/ops/zeros_like.h>

#include <distill/core/error.h>
#include <distill/data/make_batch.h>
#include <distill/io/logit_cache_writer.h>
#include <distill/ops/linear_divergence.h>
#include <distill/teachers/cache_head.h>
#include <distill/teachers/capture.h>

#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::teachers {
namespace {

namespace fs = std::filesystem;
using testing::ToyModel;

constexpr std::int64_t kVocabulary = 250;  // of the 260 rows of the toy's head

class ToyTeacher : public Teacher {
 public:
  types::TeacherSignal signal(const types::Batch& batch) override {
    const auto output = model_.forward(batch.input);
    return types::DenseHidden{output.hidden.detach(), output.head.detach(), output.transform};
  }
  std::string describe() const override { return "toy"; }

 private:
  ToyModel model_{ToyModel::Options{.seed = 4, .scale = 3}};
};

/// A row of some documents; what is learned of them differs.
data::Row some_row(std::uint64_t seed) {
  core::RandomState random(seed);
  data::Row row;
  row.segments.push_back(0);
  for (std::uint64_t s = 0; s < 2 + seed % 3; ++s) {
    for (std::uint64_t i = 0; i < 5 + random.below(12); ++i) {
      row.ids.push_back(static_cast<std::int64_t>(random.below(kVocabulary)));
      row.is_target.push_back(random.below(4) > 0);
    }
    row.segments.push_back(std::ssize(row.ids));
  }
  return row;
}

types::Batch batch_of(const std::vector<std::uint64_t>& seeds) {
  std::vector<data::Row> rows;
  for (const auto seed : seeds) rows.push_back(some_row(seed));
  types::Batch batch = data::make_batch(rows);
  batch.vocabulary = kVocabulary;
  return batch;
}

struct Cached {
  Cached(io::SignalForm form, std::int64_t size, std::uint64_t seed = 17) {
    ToyTeacher toy;
    io::LogitCacheSpec spec{form, size, kVocabulary, 1.0, {{"teacher", "toy"}}};
    const fs::path head = folder / "head";
    if (form == io::SignalForm::kHidden) {
      const auto signal = toy.signal(batch_of({0}));
      spec.facts.emplace_back(io::kCacheHeadFact,
                              write_cache_head(head, std::get<types::DenseHidden>(signal)));
    }
    io::LogitCacheWriter writer(folder / "c", spec, {});
    if (fs::exists(head)) fs::rename(head, folder / "c" / io::kCacheHeadFile);
    writer.find_written();
    std::int64_t count = 0;
    for (std::uint64_t row = 0; row < 6; ++row) {
      for (const auto& segment :
           capture(toy, batch_of({row}), {form, size, kVocabulary, 1.0, seed})) {
        if (segment.positions == 0) continue;
        writer.add(segment.key.words, segment.positions, segment.payload);
        ++count;
      }
    }
    writer.finish(count);
    cache = std::make_shared<io::LogitCache>(folder / "c");
    teacher = make_cache_teacher(cache);
  }
  testing::TempFolder folder;
  std::shared_ptr<const io::LogitCache> cache;
  std::unique_ptr<Teacher> teacher;
};

struct Loss {
  double value;
  at::Tensor gradient;
};

Loss forward_kl(const types::Batch& batch, const types::TeacherSignal& signal) {
  ToyModel student(ToyModel::Options{.seed = 9, .dtype = at::kDouble, .scale = 2});
  const auto output = student.forward(batch.input);
  ops::LinearDivergenceInput input;
  const at::Tensor hidden = output.hidden.detach().set_requires_grad(true);
  input.student_hidden = hidden;
  input.student_head = output.head.detach();
  input.teacher = signal;
  input.valid = batch.loss_mask;
  input.vocabulary = kVocabulary;
  const ops::LogitTerm term;
  const auto result = ops::linear_divergence(input, std::span(&term, 1));
  result.total.backward();
  return {result.total.item<double>(), hidden.grad()};
}

types::TeacherSignal in_double(types::TeacherSignal signal) {
  auto& dense = std::get<types::DenseHidden>(signal);
  dense.hidden = dense.hidden.to(at::kDouble);
  dense.head = dense.head.to(at::kDouble);
  return signal;
}

TEST(CacheTeacher, WithAllIdsIsTheOnlineTeacher) {
  const Cached cached(io::SignalForm::kTopK, kVocabulary);
  const types::Batch batch = batch_of({2, 0, 5});
  ToyTeacher toy;
  const Loss online = forward_kl(batch, in_double(toy.signal(batch)));
  const Loss own = forward_kl(batch, cached.teacher->signal(batch));
  // The format's stated error of a log-probability, 2^-7, is one of the loss to second order only.
  EXPECT_NEAR(own.value / online.value, 1, 1e-4);
  const double scale = at::max(online.gradient.abs()).item<double>();
  EXPECT_LT(at::max((own.gradient - online.gradient).abs()).item<double>(), 0.01 * scale);
}

/// What a signal says of one position: ids that count, each with its number or its two. Without
/// those that only fill a row.
using Position = std::vector<std::array<double, 3>>;

std::vector<Position> positions_of(const types::TeacherSignal& signal) {
  const auto* top_k = std::get_if<types::TopKLogProbs>(&signal);
  const auto* sampled = std::get_if<types::SampledLogProbs>(&signal);
  const at::Tensor ids = top_k != nullptr ? top_k->ids : sampled->ids;
  const at::Tensor log_probs = top_k != nullptr ? top_k->log_probs : sampled->log_probs;
  std::vector<Position> positions(static_cast<std::size_t>(ids.size(0)));
  for (std::int64_t row = 0; row < ids.size(0); ++row) {
    for (std::int64_t k = 0; k < ids.size(1); ++k) {
      const double weight = sampled == nullptr ? 1.0 : sampled->weights[row][k].item<double>();
      if (weight == 0) continue;
      positions[static_cast<std::size_t>(row)].push_back(
          {ids[row][k].item<double>(), weight, log_probs[row][k].item<double>()});
    }
  }
  return positions;
}

TEST(CacheTeacher, OrderPackingAndAnnouncementDoNotMatter) {
  for (const auto form : {io::SignalForm::kTopK, io::SignalForm::kSampled}) {
    const Cached cached(form, 20);
    const auto table = [&](const std::vector<std::uint64_t>& seeds, bool announce) {
      const types::Batch batch = batch_of(seeds);
      if (announce) cached.teacher->announce(batch);
      const auto signal = cached.teacher->signal(batch);
      const auto positions = positions_of(signal);
      std::map<types::SegmentKey, std::vector<Position>> segments;
      const auto keys = types::segment_keys(batch);
      for (std::size_t s = 0; s < keys.size(); ++s) {
        auto& own = segments[keys[s]];
        for (auto row = batch.input.segments[s]; row < batch.input.segments[s + 1]; ++row) {
          // Nothing is said of what does not count.
          if (!batch.loss_mask[row].item<bool>()) continue;
          own.push_back(positions[static_cast<std::size_t>(row)]);
          EXPECT_FALSE(own.back().empty());
        }
      }
      return segments;
    };
    auto expected = table({0, 1, 2, 3, 4, 5}, false);
    EXPECT_GT(expected.size(), 12u);
    for (const bool announce : {false, true}) {
      EXPECT_EQ(table({5, 3, 1, 0, 2, 4}, announce), expected);
      for (const std::uint64_t row : {4U, 1U}) {
        for (const auto& [key, value] : table({row}, announce)) EXPECT_EQ(value, expected[key]);
      }
    }
  }
}

TEST(CacheTeacher, HiddenStatesAreTheOnlineTeacherInHalfPrecision) {
  const Cached cached(io::SignalForm::kHidden, 8);
  const types::Batch batch = batch_of({2, 0, 5});
  ToyTeacher toy;
  auto rounded = toy.signal(batch);
  auto& dense = std::get<types::DenseHidden>(rounded);
  dense.hidden = dense.hidden.to(at::kBFloat16);
  dense.head = dense.head.to(at::kBFloat16);
  for (const bool announce : {false, true}) {
    if (announce) cached.teacher->announce(batch);
    const Loss own = forward_kl(batch, cached.teacher->signal(batch));
    const Loss expected = forward_kl(batch, rounded);
    EXPECT_EQ(own.value, expected.value);
    EXPECT_TRUE(at::equal(own.gradient, expected.gradient));
  }
}

TEST(CacheTeacher, AnotherHeadIsRefused) {
  const Cached cached(io::SignalForm::kHidden, 8);
  const fs::path head = cached.folder / "c/head.safetensors";
  for (const std::uintmax_t place : {std::uintmax_t{20}, fs::file_size(head) - 1}) {
    std::fstream file(head, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(place));
    const char byte = static_cast<char>(file.get() ^ 4);
    file.seekp(static_cast<std::streamoff>(place)).put(byte);
    file.close();
    const std::string message =
        testing::message_of<FormatError>([&] { make_cache_teacher(cached.cache); });
    EXPECT_NE(message.find("is damaged or of another cache"), std::string::npos) << message;
  }
  fs::remove(head);
  EXPECT_THROW(make_cache_teacher(cached.cache), InputError);
}

TEST(CacheTeacher, SamplesGiveTheGradientOnAverage) {
  const types::Batch batch = batch_of({1, 2, 3, 4, 5, 0});
  ToyTeacher toy;
  const Loss online = forward_kl(batch, in_double(toy.signal(batch)));
  constexpr int kTrials = 150;
  at::Tensor sum = at::zeros_like(online.gradient);
  at::Tensor squares = at::zeros_like(online.gradient);
  double values = 0;
  double value_squares = 0;
  for (std::uint64_t seed = 0; seed < kTrials; ++seed) {
    const Cached cached(io::SignalForm::kSampled, 12, seed);
    const Loss own = forward_kl(batch, cached.teacher->signal(batch));
    sum += own.gradient;
    squares += own.gradient * own.gradient;
    values += own.value;
    value_squares += own.value * own.value;
  }
  const at::Tensor mean = sum / kTrials;
  const at::Tensor error = ((squares / kTrials - mean * mean) / kTrials).clamp_min(1e-10).sqrt();
  const at::Tensor sigmas = ((mean - online.gradient) / error).abs();
  EXPECT_LT(at::max(sigmas).item<double>(), 5);
  const double mean_value = values / kTrials;
  const double value_error =
      std::sqrt((value_squares / kTrials - mean_value * mean_value) / kTrials);
  EXPECT_NEAR(mean_value, online.value, 5 * value_error);
}

TEST(CacheTeacher, SamplesDependOnSeedAndSegmentAlone) {
  ToyTeacher toy;
  const CaptureOptions options{io::SignalForm::kSampled, 12, kVocabulary, 1.0, 3};
  const auto alone = capture(toy, batch_of({4}), options);
  const auto among = capture(toy, batch_of({1, 4, 2}), options);
  std::size_t found = 0;
  for (const auto& segment : among) {
    if (segment.key != alone[0].key) continue;
    EXPECT_EQ(segment.payload, alone[0].payload);
    ++found;
  }
  EXPECT_EQ(found, 1U);
  CaptureOptions other = options;
  other.seed = 4;
  EXPECT_NE(capture(toy, batch_of({4}), other)[0].payload, alone[0].payload);
}

TEST(CacheTeacher, RefusesWhatIsNotInTheCache) {
  const Cached cached(io::SignalForm::kTopK, 5);
  const types::Batch other = batch_of({77});
  const std::string message =
      testing::message_of<TeacherError>([&] { cached.teacher->signal(other); });
  EXPECT_NE(message.find(" tokens is not in the cache; it was captured from other data"),
            std::string::npos)
      << message;
  EXPECT_EQ(testing::message_of<TeacherError>([&] { cached.teacher->announce(other); }), message);
  // The same ids, of which others are learned.
  types::Batch changed = batch_of({2});
  changed.loss_mask = at::logical_not(changed.loss_mask);
  EXPECT_THROW(cached.teacher->signal(changed), TeacherError);
}

TEST(CacheTeacher, ABatchWithNothingToLearnNeedsNoSegment) {
  const Cached cached(io::SignalForm::kSampled, 12);
  types::Batch batch = batch_of({99});
  batch.loss_mask = at::zeros_like(batch.loss_mask);
  const auto signal = cached.teacher->signal(batch);
  EXPECT_EQ(std::get<types::SampledLogProbs>(signal).ids.size(0), batch.input.input_ids.size(0));
  EXPECT_EQ(forward_kl(batch, signal).value, 0);
}

TEST(Capture, RefusesTeachersWithoutAWholeDistribution) {
  class Silent : public ToyTeacher {
    types::TeacherSignal signal(const types::Batch&) override { return std::monostate(); }
  } silent;
  const CaptureOptions options{io::SignalForm::kTopK, 3, kVocabulary, 1.0, 0};
  EXPECT_EQ(testing::message_of<TeacherError>([&] { capture(silent, batch_of({1}), options); }),
            "teacher `toy` gives no whole distribution to keep");
  ToyTeacher toy;
  CaptureOptions large = options;
  large.vocabulary = 300;
  EXPECT_EQ(testing::message_of<TeacherError>([&] { capture(toy, batch_of({1}), large); }),
            "teacher `toy` has 260 ids, the tokenizer has 300");
}

}  // namespace
}  // namespace distill::teachers
