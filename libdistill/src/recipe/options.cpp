#include <distill/recipe/options.h>

#include <algorithm>
#include <set>

#include <distill/core/changeable.h>
#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/dist/channel.h>
#include <distill/io/http.h>
#include <distill/io/signal_rows.h>

namespace distill::recipe {

using core::concat;

c10::ScalarType dtype_of(Precision precision) {
  return precision == Precision::kBf16 ? c10::ScalarType::BFloat16 : c10::ScalarType::Float;
}

void describe(core::FieldVisitor& visit, FitOptions& options) {
  visit("tokens", options.tokens,
        "tokens of the training data that it is fitted on, about; more cost memory and time");
  visit("ridge", options.ridge, "how much weights are kept near what they were");
}

void validate(const FitOptions& options, core::Problems& problems) {
  if (options.tokens < 1) {
    problems.add("tokens", concat("must be positive, it is ", options.tokens));
  }
  if (!(options.ridge > 0) || !(options.ridge <= 1e6)) {
    problems.add("ridge", concat("must be above 0 and at most 1e6, it is ", options.ridge));
  }
}

void describe(core::FieldVisitor& visit, StudentInit& init) {
  visit("from", init.from, "whose layers: of the teacher, or of `student.model`");
  visit("keep_layers", init.keep_layers,
        "how many layers to keep, evenly spaced with first and last, or the list of layers; "
        "all when not given");
  visit("fit", init.fit,
        "begin with kept layers that do, as well as one projection of each can, what the layers "
        "left out behind them did (docs/models.md); `{}` for the usual");
}

void validate(const StudentInit& init, core::Problems& problems) {
  if (init.fit && !init.keep_layers) {
    problems.add("fit", "needs `keep_layers`: nothing is missing in a student of all layers");
  }
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
  if (init.fit && !std::ranges::is_sorted(layers)) {
    problems.add("fit", "needs `keep_layers` in ascending order");
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
  visit("quantize", options.quantize,
        "hold its projections in few bits (docs/lora.md); dense when not given");
}

void validate(const LocalTeacherOptions& options, core::Problems& problems) {
  if (options.model.empty()) problems.add("model", "must name a folder, it is empty");
}

void describe(core::FieldVisitor&, BaseTeacherOptions&) {}

void describe(core::FieldVisitor& visit, CacheTeacherOptions& options) {
  visit.required("path", options.path, "folder of the cache (docs/teachers.md)");
  visit("model", options.model,
        "Hugging Face folder of the teacher: needed by `distill cache`, and where the student is "
        "made of its layers");
  visit("form", options.form,
        "what `distill cache` keeps: the likeliest ids; samples, which serve forward_kl alone and "
        "take a quarter of the room; or hidden states in bf16, which give the whole distribution "
        "and take the most. top_k when not given. Training takes what is there");
  visit("top_k", options.top_k, "ids that are kept of a position; 32 when not given");
  visit("draws", options.draws,
        "of the sampled form: ids of probability 1 / draws and more are always kept, others by "
        "chance; 22 when not given");
  visit("temperature", options.temperature,
        "the teacher's logits are divided by it before the softmax; 1 when not given. The loss "
        "should have the same");
  visit("quantize", options.quantize,
        "hold the teacher's projections in few bits while it is captured (docs/lora.md); dense "
        "when not given");
}

void validate(const CacheTeacherOptions& options, core::Problems& problems) {
  if (options.path.empty()) problems.add("path", "must name a folder, it is empty");
  if (options.model && options.model->empty()) problems.add("model", "must name a folder");
  const io::SignalForm form = options.form_or_default();
  const bool samples = form == io::SignalForm::kSampled;
  if (options.top_k && form != io::SignalForm::kTopK) {
    problems.add("top_k", concat("has no effect with `form: ", io::name_of(form), "`"));
  }
  if (options.temperature && form == io::SignalForm::kHidden) {
    problems.add("temperature", "has no effect with `form: hidden`, which serves any");
  }
  if (options.draws && !samples) problems.add("draws", "needs `form: sampled`");
  if (options.top_k && (*options.top_k < 1 || *options.top_k > io::kMostTopK)) {
    problems.add("top_k", concat("must be 1 to ", io::kMostTopK, ", it is ", *options.top_k));
  }
  if (options.draws && (*options.draws < io::kFewestDraws || *options.draws > io::kMostDraws)) {
    problems.add("draws", concat("must be ", io::kFewestDraws, " to ", io::kMostDraws, ", it is ",
                                 *options.draws));
  }
  if (options.temperature && !(*options.temperature > 0 && *options.temperature <= 1000)) {
    problems.add("temperature",
                 concat("must be above 0 and at most 1000, it is ", *options.temperature));
  }
}

void describe(core::FieldVisitor& visit, ServerTeacherOptions& options) {
  visit.required("url", options.url,
                 core::changeable("address of the server, such as `http://127.0.0.1:8000/v1`"));
  visit.required("model", options.model, "what the server calls its model");
  visit("top_k", options.top_k, "likeliest ids of each position; the rest is one class");
  visit("api_key_env", options.api_key_env,
        core::changeable(
            "name of the environment variable that holds the server's key; none when empty"));
  visit("api", options.api,
        "how it is asked: vllm (completions with `prompt_logprobs`) or sglang (`/generate`)");
  visit("tokenizer", options.tokenizer,
        "folder with the served model's tokenizer, compared with the student's; when not given, "
        "what the server says of ids and texts is. `alm` needs it where that tokenizer is another");
  visit("max_tokens", options.max_tokens,
        "with `alm`: how many tokens of its own the teacher is sent of a text at most; what lies "
        "behind is left out; four times `data.sequence_length` when not given");
  visit("parallel", options.parallel, core::changeable("requests at one time"));
  visit("retries", options.retries, core::changeable("of one request, when the server fails"));
  visit("timeout_seconds", options.timeout_seconds, core::changeable("for one answer"));
  visit("check_seconds", options.check_seconds,
        core::changeable("seconds between two looks whether the server's model is still the same"));
  visit("max_drift", options.max_drift,
        core::changeable("how far its answers to one text may be apart then, 0 to 1"));
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
  if (options.max_tokens) {
    in_range("max_tokens", *options.max_tokens, std::int64_t{2}, std::int64_t{1} << 24);
  }
  in_range("parallel", options.parallel, 1, 1024);
  in_range("retries", options.retries, 0, 1000);
  in_range("timeout_seconds", options.timeout_seconds, 0.1, 86400.0);
  in_range("check_seconds", options.check_seconds, 0.1, 86400.0);
  in_range("max_drift", options.max_drift, 1e-6, 1.0);
}

void describe(core::FieldVisitor& visit, ProcessTeacherOptions& options) {
  visit("shared", options.shared,
        core::changeable("what `distill teacher --shared NAME` was given, on this machine; exactly "
                         "one of `shared` and `address` is given"));
  visit("address", options.address,
        core::changeable("where `distill teacher --listen HOST:PORT` is, such as 10.0.0.7:29500; "
                         "over c10d, for networks whose machines are trusted"));
  visit("tokenizer", options.tokenizer,
        "folder with the teacher's tokenizer, compared with the student's; when not given both "
        "must be the same");
  visit("timeout_seconds", options.timeout_seconds,
        core::changeable("how long to wait for the teacher at the start, and for a sign of life "
                         "later"));
}

void validate(const ProcessTeacherOptions& options, core::Problems& problems) {
  if (!options.shared && !options.address) {
    problems.add("", "needs `shared` (a name on this machine) or `address` (HOST:PORT)");
  } else if (options.shared && options.address) {
    problems.add("address", "is given beside `shared`; remove one");
  }
  const auto check = [&](const char* field, const auto& value, auto rule) {
    try {
      if (value) rule(*value);
    } catch (const InputError& error) {
      problems.add(field, error.what());
    }
  };
  check("shared", options.shared, dist::check_shared_name);
  check("address", options.address, dist::check_address);
  if (options.tokenizer && options.tokenizer->empty()) {
    problems.add("tokenizer", "must name a folder, it is empty");
  }
  // A sign of life may come late where machine or network are busy.
  constexpr double kLeast = 3 * dist::kBeatSeconds;
  if (!(options.timeout_seconds >= kLeast && options.timeout_seconds <= 86400)) {
    problems.add("timeout_seconds",
                 concat("must be from ", kLeast, " to 86400 (a teacher gives a sign of life every ",
                        dist::kBeatSeconds, " s), it is ", options.timeout_seconds));
  }
}

void describe(core::FieldVisitor&, NoTeacherOptions&) {}

}  // namespace distill::recipe
