#include "models/saved_config.h"

#include <map>
#include <string>
#include <string_view>
#include <variant>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>

namespace distill::models {

namespace {

std::string_view dtype_name(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::ScalarType::Float:
      return "float32";
    case c10::ScalarType::BFloat16:
      return "bfloat16";
    default:
      fail<UnsupportedError>("models are saved in float32 or bfloat16, not in ",
                             c10::toString(dtype));
  }
}

void write_value(core::JsonWriter& out, const io::JsonValue& value);

/// Writes one alternative of a JsonValue.
struct ValueWriter {
  core::JsonWriter& out;

  void operator()(std::nullptr_t) const { out.null(); }
  void operator()(bool flag) const { out.value(flag); }
  void operator()(std::int64_t number) const { out.value(number); }
  void operator()(double number) const {
    // A whole number stays a float: strict readers tell 10000.0 from 10000.
    core::JsonWriter digits;
    digits.value(number);
    const bool whole = digits.text().find_first_of(".e") == std::string::npos;
    out.raw(digits.text() + (whole ? ".0" : ""));
  }
  void operator()(const std::string& text) const { out.value(text); }
  void operator()(const core::JsonNumber& number) const { out.value(number); }
  void operator()(const io::JsonArray& array) const {
    out.begin_array();
    for (const io::JsonValue& item : array) write_value(out, item);
    out.end_array();
  }
  void operator()(const io::JsonObject& object) const {
    out.begin_object();
    for (const auto& [name, item] : object.members()) {
      out.key(name);
      write_value(out, item);
    }
    out.end_object();
  }
};

void write_value(core::JsonWriter& out, const io::JsonValue& value) {
  std::visit(ValueWriter{out}, value.storage());
}

void require_same_model(const io::JsonCursor& config, const ModelShape& shape) {
  const std::int64_t vocab = config.at("vocab_size").as_int(),
                     hidden = config.at("hidden_size").as_int();
  if (vocab == shape.vocab_size && hidden == shape.hidden_size) return;
  fail<InputError>(config.source(), ": of another model: vocabulary ", vocab, " and hidden size ",
                   hidden, ", the model to save has ", shape.vocab_size, " and ",
                   shape.hidden_size);
}

}  // namespace

std::string saved_config(const std::filesystem::path& base, const CausalLm& model,
                         c10::ScalarType dtype) {
  const io::JsonValue json = io::read_json_file(base);
  const io::JsonCursor config(json, base.string());
  require_same_model(config, model.shape());
  const std::string dtype_json = core::concat('"', dtype_name(dtype), '"');
  std::map<std::string, std::string> changes;
  for (const ConfigChange& change : model.config_changes()) changes[change.key] = change.json;
  changes["num_hidden_layers"] = std::to_string(model.shape().num_layers);
  const bool newer = config.as_object().find("dtype") != nullptr;
  if (newer) changes["dtype"] = dtype_json;
  if (!newer || config.as_object().find("torch_dtype") != nullptr) {
    changes["torch_dtype"] = dtype_json;
  }
  core::JsonWriter out(2);
  out.begin_object();
  for (const auto& [name, value] : config.as_object().members()) {
    const auto change = changes.find(name);
    if (change == changes.end()) {
      out.key(name);
      write_value(out, value);
    } else {
      if (!change->second.empty()) out.key(name).raw(change->second);
      changes.erase(change);
    }
  }
  for (const auto& [name, text] : changes) {
    if (!text.empty()) out.key(name).raw(text);
  }
  out.end_object();
  return out.text() + "\n";
}

}  // namespace distill::models
