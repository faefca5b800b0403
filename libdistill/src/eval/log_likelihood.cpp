#include <distill/eval/log_likelihood.h>

#include <algorithm>
#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <distill/core/error.h>
#include <distill/eval/evaluate.h>
#include <distill/models/beginnings.h>

#include "eval/label_scores.h"
#include "eval/logit_rows.h"

namespace distill::eval {

namespace {

using Ids = std::vector<std::int64_t>;

/// Groups [begin, end) are computed together.
struct GroupRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// What a group costs, about: its longest text stands for all where beginnings are shared.
std::int64_t tokens_of(const TextGroup& group, bool shared) {
  std::int64_t tokens = 0;
  for (const ScoredText& text : group) {
    tokens = shared ? std::max(tokens, std::ssize(text.ids)) : tokens + std::ssize(text.ids);
  }
  return tokens;
}

std::vector<GroupRange> in_batches(std::span<const TextGroup> groups, const ScoreOptions& options) {
  std::vector<GroupRange> batches;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::int64_t more = tokens_of(groups[i], options.share_beginnings);
    if (batches.empty() || tokens + more > options.tokens_per_batch) {
      batches.push_back({i, i});
      tokens = 0;
    }
    batches.back().end = i + 1;
    tokens += more;
  }
  return batches;
}

/// How many tokens all texts of a group begin with alike, none of them scored; 0 where there is
/// nothing to gain.
std::size_t shared_beginning(const TextGroup& group) {
  if (group.size() < 2) return 0;
  std::size_t length = group.front().first;
  for (const ScoredText& text : group) {
    length = std::min({length, text.first, text.ids.size() - 1});
    const auto [one, other] =
        std::mismatch(text.ids.begin(), text.ids.begin() + static_cast<std::ptrdiff_t>(length),
                      group.front().ids.begin());
    length = static_cast<std::size_t>(one - text.ids.begin());
  }
  return length;
}

/// Where the score of an asked label belongs.
struct Place {
  std::size_t group = 0;
  std::size_t text = 0;
};

/// One forward pass in the making: rows of tokens, and what is asked of them.
struct Pass {
  Ids ids;
  Ids segments = {0};
  std::vector<AskedLabel> asked;
  std::vector<Place> places;

  /// Asks for token `at` of the text, which the row before it predicts.
  void ask(std::int64_t row, const ScoredText& text, std::size_t at, Place place) {
    asked.push_back({row, text.ids[at]});
    places.push_back(place);
  }
  /// Feeds tokens [from, size - 1) of the text and asks for those behind each that are scored.
  void feed(const ScoredText& text, std::size_t from, Place place) {
    for (std::size_t i = from; i + 1 < text.ids.size(); ++i) {
      if (i + 1 >= text.first) ask(std::ssize(ids), text, i + 1, place);
      ids.push_back(text.ids[i]);
    }
    segments.push_back(std::ssize(ids));
  }
};

class Scoring {
 public:
  Scoring(models::CausalLm& model, std::span<const TextGroup> groups, std::int64_t vocabulary)
      : model_(model), groups_(groups), vocabulary_(vocabulary), device_(model.device()) {
    for (const TextGroup& group : groups) {
      scores.emplace_back(group.size(), 0.0);
      for (const ScoredText& text : group) check(text);
    }
  }

  void score(GroupRange range, bool share) {
    std::vector<std::size_t> shared, separate;
    for (std::size_t g = range.begin; g < range.end; ++g) {
      (share && shared_beginning(groups_[g]) > 0 ? shared : separate).push_back(g);
    }
    if (!shared.empty()) score_shared(shared);
    if (!separate.empty()) score_separate(separate);
  }

  std::vector<std::vector<double>> scores;

 private:
  void check(const ScoredText& text) const {
    if (text.first < 1 || text.first > text.ids.size() || text.ids.size() < 1) {
      fail<InputError>("a text of ", text.ids.size(), " tokens cannot be scored from token ",
                       text.first, " on");
    }
    check_ids(*std::ranges::max_element(text.ids), model_.shape().vocab_size, "model");
  }

  /// Each text is read from its start.
  void score_separate(const std::vector<std::size_t>& chosen) {
    Pass pass;
    for (const std::size_t g : chosen) {
      for (std::size_t t = 0; t < groups_[g].size(); ++t) {
        if (groups_[g][t].ids.size() > 1) pass.feed(groups_[g][t], 0, {g, t});
      }
    }
    if (pass.ids.empty()) return;
    types::ModelInput input;
    input.input_ids = at::tensor(pass.ids, at::kLong).to(device_);
    Ids positions;
    for (std::size_t s = 0; s + 1 < pass.segments.size(); ++s) {
      for (std::int64_t i = 0; i < pass.segments[s + 1] - pass.segments[s]; ++i) {
        positions.push_back(i);
      }
    }
    input.position_ids = at::tensor(positions, at::kLong).to(device_);
    input.segments = pass.segments;
    add(pass, model_.forward(input));
  }

  /// Beginnings first; then one text of each group after the other goes on from there.
  void score_shared(const std::vector<std::size_t>& chosen) {
    models::Beginnings beginnings(model_);
    std::vector<std::size_t> lengths;
    std::size_t most_texts = 0;
    Pass first;
    for (const std::size_t g : chosen) {
      lengths.push_back(shared_beginning(groups_[g]));
      most_texts = std::max(most_texts, groups_[g].size());
      begin(g, lengths.back(), first);
    }
    add(first, beginnings.read(first.ids, first.segments));
    for (std::size_t t = 0; t < most_texts; ++t) {
      Pass pass;
      std::vector<std::size_t> which;
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        const TextGroup& group = groups_[chosen[i]];
        if (t >= group.size() || group[t].ids.size() <= lengths[i] + 1) continue;
        pass.feed(group[t], lengths[i], {chosen[i], t});
        which.push_back(i);
      }
      if (!which.empty()) add(pass, beginnings.go_on(pass.ids, pass.segments, which));
    }
  }

  /// The last row of a beginning predicts the first token of each text.
  void begin(std::size_t g, std::size_t length, Pass& pass) const {
    const TextGroup& group = groups_[g];
    pass.ids.insert(pass.ids.end(), group.front().ids.begin(),
                    group.front().ids.begin() + static_cast<std::ptrdiff_t>(length));
    pass.segments.push_back(std::ssize(pass.ids));
    for (std::size_t t = 0; t < group.size(); ++t) {
      if (group[t].first == length) pass.ask(std::ssize(pass.ids) - 1, group[t], length, {g, t});
    }
  }

  void add(const Pass& pass, const types::ModelOutput& output) {
    const auto found = label_scores(output, pass.asked, vocabulary_);
    for (std::size_t i = 0; i < found.size(); ++i) {
      scores[pass.places[i].group][pass.places[i].text] += found[i];
    }
  }

  models::CausalLm& model_;
  std::span<const TextGroup> groups_;
  std::int64_t vocabulary_;
  at::Device device_;
};

/// Every rank gets what each of them has found.
void exchange(std::vector<std::vector<double>>& scores, dist::Communicator& ranks) {
  std::vector<double> all;
  for (const auto& group : scores) all.insert(all.end(), group.begin(), group.end());
  ranks.all_reduce_sum(std::span<double>(all));
  auto next = all.begin();
  for (auto& group : scores) {
    for (double& score : group) score = *next++;
  }
}

}  // namespace

std::vector<std::vector<double>> log_likelihoods(models::CausalLm& model,
                                                 std::span<const TextGroup> groups,
                                                 std::int64_t vocabulary, dist::Communicator& ranks,
                                                 const ScoreOptions& options) {
  const at::NoGradGuard no_grad;
  Scoring scoring(model, groups, vocabulary);
  const auto batches = in_batches(groups, options);
  const auto total = static_cast<std::int64_t>(groups.size());
  const auto size = static_cast<std::size_t>(ranks.size());
  // Every rank goes through as many rounds, so that all agree on when to stop.
  for (std::size_t round = 0; round < batches.size(); round += size) {
    if (options.stop != nullptr && ranks.any(options.stop->requested())) {
      fail<Stopped>("the evaluation was stopped after ", batches[round].begin, " of ", total,
                    " rows");
    }
    const std::size_t mine = round + static_cast<std::size_t>(ranks.rank());
    if (mine < batches.size()) scoring.score(batches[mine], options.share_beginnings);
    const std::size_t last = std::min(round + size, batches.size()) - 1;
    if (options.on_progress) {
      options.on_progress(static_cast<std::int64_t>(batches[last].end), total);
    }
  }
  exchange(scoring.scores, ranks);
  return std::move(scoring.scores);
}

}  // namespace distill::eval
