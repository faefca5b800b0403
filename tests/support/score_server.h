#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>
#include <distill/models/causal_lm.h>
#include <distill/models/logits.h>

#include "support/http_server.h"

namespace distill::testing {

/// Answers as vLLM and SGLang do, with the probabilities of a model. Any thread may ask.
class ScoreServer {
 public:
  using Spell = std::function<std::string(std::int64_t)>;
  using Tokenize = std::function<std::vector<std::int64_t>(const std::string&)>;

  explicit ScoreServer(std::shared_ptr<models::CausalLm> model) : model_(std::move(model)) {}

  HttpReply operator()(const HttpCall& call) {
    const std::lock_guard lock(mutex_);
    if (call.path == "/v1/models") {
      return reply(200, "{\"data\":[{\"id\":\"" + name + "\"" +
                            (max_tokens > 0 ? ",\"max_model_len\":" + std::to_string(max_tokens)
                                            : std::string()) +
                            "}]}");
    }
    const auto value = io::parse_json(call.body, "body");
    const io::JsonCursor body(value, "body");
    if (call.path == "/v1/completions") return vllm(body);
    if (call.path == "/generate") return sglang(body);
    if (call.path == "/tokenize" && tokenize) return tokens(body);
    return reply(404, "{\"detail\":\"Not Found\"}");
  }

  void use(std::shared_ptr<models::CausalLm> model) {
    const std::lock_guard lock(mutex_);
    model_ = std::move(model);
  }

  // Settings, for before it is asked.
  std::string name = "m";
  std::string fingerprint = "";
  std::int64_t max_tokens = 0;
  Spell spell = [](std::int64_t id) { return "t" + std::to_string(id); };
  Tokenize tokenize = {};
  double noise = 0;  ///< of log-probabilities, as rounding makes it

 private:
  struct Row {
    std::vector<std::int64_t> order;  ///< ids, the likeliest first
    std::vector<double> log_probs;    ///< by id
  };

  std::vector<Row> rows_of(const std::vector<std::int64_t>& ids) {
    const c10::NoGradGuard no_graph;
    const auto output = model_->forward(types::single_sequence(at::tensor(ids)));
    const at::Tensor log_probs =
        at::log_softmax(models::logits(output, output.hidden).to(at::kDouble), 1).contiguous();
    std::vector<Row> rows;
    for (std::int64_t t = 0; t < log_probs.size(0); ++t) {
      const auto* first = log_probs.const_data_ptr<double>() + t * log_probs.size(1);
      Row row{std::vector<std::int64_t>(static_cast<std::size_t>(log_probs.size(1))),
              std::vector<double>(first, first + log_probs.size(1))};
      std::iota(row.order.begin(), row.order.end(), 0);
      std::ranges::stable_sort(row.order, std::ranges::greater{}, [&](std::int64_t id) {
        return row.log_probs[static_cast<std::size_t>(id)];
      });
      for (auto& x : row.log_probs) {
        x = std::min(0.0, x - noise * static_cast<double>(num_answers_ % 3));
      }
      rows.push_back(std::move(row));
    }
    ++num_answers_;
    return rows;
  }

  static std::vector<std::int64_t> ints(const io::JsonCursor& list) {
    std::vector<std::int64_t> ids;
    for (std::size_t i = 0; i < list.size(); ++i) ids.push_back(list.at(i).as_int());
    return ids;
  }

  HttpReply vllm(const io::JsonCursor& body) {
    const auto ids = ints(body.at("prompt"));
    const auto top_k = static_cast<std::size_t>(body.at("prompt_logprobs").as_int());
    const auto rows = rows_of(ids);
    core::JsonWriter json;
    json.begin_object().member("id", "cmpl-1").member("model", name);
    if (!fingerprint.empty()) json.member("system_fingerprint", fingerprint);
    json.key("choices").begin_array().begin_object().member("index", 0);
    json.member("text", "x").member("finish_reason", "length").key("prompt_logprobs").begin_array();
    json.raw("null");
    for (std::size_t i = 1; i < ids.size(); ++i) {
      const Row& row = rows[i - 1];
      json.begin_object();
      for (std::size_t rank = 0; rank < row.order.size(); ++rank) {
        const std::int64_t id = row.order[rank];
        if (rank >= top_k && id != ids[i]) continue;
        json.key(std::to_string(id)).begin_object();
        json.member("logprob", row.log_probs[static_cast<std::size_t>(id)]);
        json.member("rank", static_cast<std::int64_t>(rank + 1)).member("decoded_token", spell(id));
        json.end_object();
      }
      json.end_object();
    }
    json.end_array().end_object().end_array().end_object();
    return reply(200, json.text());
  }

  void entry(core::JsonWriter& json, const std::string& value, std::int64_t id, bool text) {
    json.begin_array().raw(value).value(id);
    if (text) {
      json.value(spell(id));
    } else {
      json.raw("null");
    }
    json.end_array();
  }

  HttpReply sglang(const io::JsonCursor& body) {
    const auto ids = ints(body.at("input_ids"));
    const auto top_k = static_cast<std::size_t>(body.at("top_logprobs_num").as_int());
    const bool text = body.at("return_text_in_logprobs").as_bool();
    const auto rows = rows_of(ids);
    const auto number = [](double x) {
      core::JsonWriter json;
      return json.value(x).text();
    };
    core::JsonWriter json;
    json.begin_object().member("text", "").key("meta_info").begin_object();
    json.member("prompt_tokens", static_cast<std::int64_t>(ids.size()));
    if (!fingerprint.empty()) json.member("weight_version", fingerprint);
    json.key("input_token_logprobs").begin_array();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto id = static_cast<std::size_t>(ids[i]);
      entry(json, i == 0 ? "null" : number(rows[i - 1].log_probs[id]), ids[i], text);
    }
    json.end_array().key("input_top_logprobs").begin_array().raw("null");
    for (std::size_t i = 1; i < ids.size(); ++i) {
      json.begin_array();
      for (std::size_t rank = 0; rank < top_k; ++rank) {
        const std::int64_t id = rows[i - 1].order[rank];
        entry(json, number(rows[i - 1].log_probs[static_cast<std::size_t>(id)]), id, text);
      }
      json.end_array();
    }
    json.end_array().end_object().end_object();
    return reply(200, json.text());
  }

  HttpReply tokens(const io::JsonCursor& body) {
    core::JsonWriter json;
    json.begin_object().key("tokens").begin_array();
    for (const auto id : tokenize(body.at("prompt").as_string())) json.value(id);
    json.end_array().end_object();
    return reply(200, json.text());
  }

  std::mutex mutex_;
  std::shared_ptr<models::CausalLm> model_;
  std::int64_t num_answers_ = 0;
};

}  // namespace distill::testing
