#include <distill/recipe/options.h>

#include <algorithm>
#include <set>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/http.h>

namespace distill::recipe {

using core::concat;

c10::ScalarType dtype_of(Precision precision) {
  return precision == Precision::kBf16 ? c10::ScalarType::BFloat16 : c10::ScalarType::Float;
}

void describe(core::FieldVisitor& visit, StudentInit& init) {
  visit("from", init.from, "whose layers: of the teacher, or of `student.model`");
  visit("keep_layers", init.keep_layers,
        "how many layers to keep, evenly spaced with first and last, or the list of layers; "
        "all when not given");
}

void validate(const StudentInit& init, core::Problems& problems) {
  if (!init.keep_layers) return;
  if (const auto* count = std::get_if<std::int64_t>(&*init.keep_layers)) {
    if (*count < 1) problems.add("keep_layers", concat("must be at least 1, it is ", *count));
    return;
  }
  const auto& layers = std::get<std::vector<std::int64_t>>(*init.keep_layers);
  if (layers.empty()) problems.add("keep_layers", "must name at least one layer");
  std::set<std::int64_t> seen;
  for (const std::int64_t layer : layers) {
    if (layer < 0) {
      problems.add("keep_layers", concat("layers count from 0, one is ", layer));
    } else if (!seen.insert(layer).second) {
      problems.add("keep_layers", concat("layer ", layer, " is listed twice"));
    }
  }
}

void describe(core::FieldVisitor& visit, StudentOptions& options) {
  visit("model", options.model, "Hugging Face folder to start from");
  visit("init", options.init, "make the student from some layers of a larger model");
  visit("freeze", options.freeze,
        "names of parameters that are not trained; `*` stands for any text, as in "
        "`model.layers.0.*`");
  visit("lora", options.lora, "train small adapters beside a frozen model, and save them alone");
  visit("quantize", options.quantize,
        "hold the frozen projections in few bits (docs/lora.md); dense when not given");
}

void validate(const StudentOptions& options, core::Problems& problems) {
  if (options.model && options.model->empty()) problems.add("model", "must name a folder");
  if (!options.model && !options.init) {
    problems.add("", "needs `model` (a folder), or `init: {from: teacher, keep_layers: ...}`");
  }
  if (options.init && options.init->from == InitFrom::kTeacher && options.model) {
    problems.add("model", "is given, and `init` takes the student from the teacher; remove one");
  }
  if (options.init && options.init->from == InitFrom::kModel && !options.model) {
    problems.add("init.from", "is `model`, and `student.model` is not given");
  }
  if (options.lora && options.init) {
    problems.add("lora",
                 "is given with `init`: an adapter needs a base that can be loaded again; "
                 "save the model of these layers first");
  }
  if (options.lora && !options.freeze.empty()) {
    problems.add("freeze", "is given with `lora`, which freezes all but the adapters; remove one");
  }
  if (options.quantize && !options.lora) {
    problems.add("quantize", "needs `student.lora`: quantised weights are not trained themselves");
  }
  if (options.quantize && options.lora && options.lora->init == lora::Init::kPissa) {
    problems.add("lora.init",
                 "is `pissa`, which takes a part out of the weights; those are quantised "
                 "(`student.quantize`), use kaiming or gaussian");
  }
  for (std::size_t i = 0; i < options.freeze.size(); ++i) {
    if (options.freeze[i].empty()) {
      problems.add(concat("freeze.", i), "must be the name of a parameter, it is empty");
    }
  }
}

void describe(core::FieldVisitor& visit, LocalTeacherOptions& options) {
  visit.required("model", options.model, "Hugging Face folder of the teacher");
}

void validate(const LocalTeacherOptions& options, core::Problems& problems) {
  if (options.model.empty()) problems.add("model", "must name a folder, it is empty");
}

void describe(core::FieldVisitor&, BaseTeacherOptions&) {}

void describe(core::FieldVisitor& visit, ServerTeacherOptions& options) {
  visit.required("url", options.url, "address of the server, such as `http://127.0.0.1:8000/v1`");
  visit.required("model", options.model, "what the server calls its model");
  visit("top_k", options.top_k, "likeliest ids of each position; the rest is one class");
  visit("api_key_env", options.api_key_env,
        "name of the environment variable that holds the server's key; none when empty");
  visit("api", options.api,
        "how it is asked: vllm (completions with `prompt_logprobs`) or sglang (`/generate`)");
  visit("tokenizer", options.tokenizer,
        "folder with the served model's tokenizer, compared with the student's; when not given, "
        "what the server says of ids and texts is");
  visit("parallel", options.parallel, "requests at one time");
  visit("retries", options.retries, "of one request, when the server fails");
  visit("timeout_seconds", options.timeout_seconds, "for one answer");
  visit("check_seconds", options.check_seconds,
        "seconds between two looks whether the server's model is still the same");
  visit("max_drift", options.max_drift,
        "how far its answers to one text may be apart then, 0 to 1");
}

namespace {

/// A name that a shell takes. A key given by mistake is none, and is not shown.
bool is_variable_name(const std::string& name) {
  const auto is_letter = [](char c) {
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  };
  if (!name.empty() && !is_letter(name[0])) return false;
  return std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

void validate(const ServerTeacherOptions& options, core::Problems& problems) {
  try {
    io::check_http_url(options.url);
  } catch (const InputError& error) {
    problems.add("url", error.what());
  }
  if (options.model.empty()) problems.add("model", "must be what the server calls its model");
  if (!is_variable_name(options.api_key_env)) {
    problems.add("api_key_env",
                 "must be the name of an environment variable (letters, digits, `_`), not the key");
  }
  const auto in_range = [&](const char* name, auto value, auto low, auto high) {
    if (value >= low && value <= high) return;
    problems.add(name, concat("must be from ", low, " to ", high, ", it is ", value));
  };
  in_range("top_k", options.top_k, 1, 100'000);
  in_range("parallel", options.parallel, 1, 1024);
  in_range("retries", options.retries, 0, 1000);
  in_range("timeout_seconds", options.timeout_seconds, 0.1, 86400.0);
  in_range("check_seconds", options.check_seconds, 0.1, 86400.0);
  in_range("max_drift", options.max_drift, 1e-6, 1.0);
}

void describe(core::FieldVisitor&, NoTeacherOptions&) {}

}  // namespace distill::recipe
