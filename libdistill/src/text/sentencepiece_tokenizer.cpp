#include "text/sentencepiece_tokenizer.h"

#include <charconv>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

#include "text/json_members.h"
#include "text/sentencepiece_bpe.h"
#include "text/sentencepiece_library.h"
#include "text/sentencepiece_model.h"

namespace distill::text::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;
constexpr std::string_view kSpace = "\xE2\x96\x81";

/// What tokenizer_config.json says beside the roles of special tokens.
struct Settings {
  bool add_bos = true;
  bool add_eos = false;
  bool legacy = true;
  std::vector<AddedToken> added;
};

AddedToken read_added(const io::JsonCursor& node, std::string_view number) {
  AddedToken token;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), token.id);
  if (error != std::errc() || end != number.data() + number.size() || token.id < 0) {
    node.fail("has a name that is no id");
  }
  token.content = node.at("content").as_string();
  if (token.content.empty() || token.content.size() > 512) {
    node.at("content").fail("must be 1 to 512 bytes long");
  }
  token.special = node.bool_or("special", false);
  token.lstrip = node.bool_or("lstrip", false);
  token.rstrip = node.bool_or("rstrip", false);
  token.single_word = node.bool_or("single_word", false);
  return token;
}

Settings read_settings(const fs::path& folder) {
  Settings settings;
  const fs::path path = folder / "tokenizer_config.json";
  if (!core::path_exists(path)) return settings;
  const io::JsonValue value = io::read_json_file(path);
  const io::JsonCursor config(value, path.string());
  settings.add_bos = config.bool_or("add_bos_token", true);
  settings.add_eos = config.bool_or("add_eos_token", false);
  settings.legacy = config.bool_or("legacy", true);
  if (!config.has("added_tokens_decoder")) return settings;
  const io::JsonCursor table = config.at("added_tokens_decoder");
  for (const auto& [number, token] : table.as_object().members()) {
    settings.added.push_back(read_added(table.at(number), number));
  }
  return settings;
}

/// The control pieces, and what tokenizer_config.json adds after the model's ids.
std::vector<AddedToken> added_tokens(const SentencePieceModel& model, const Settings& settings,
                                     const std::string& source) {
  std::vector<AddedToken> tokens;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].kind != PieceKind::kControl) continue;
    AddedToken token;
    token.content = model.pieces[id].text;
    token.id = static_cast<std::int32_t>(id);
    token.special = true;
    tokens.push_back(std::move(token));
  }
  auto next = static_cast<std::int64_t>(model.pieces.size());
  for (const AddedToken& token : settings.added) {
    const std::int64_t known = model.id_of(token.content);
    if (known >= 0 ? known != token.id : next != token.id) {
      fail<FormatError>(source, ": tokenizer_config.json gives the id ", token.id, " to `",
                        core::printable(token.content), "`, expected ", known >= 0 ? known : next,
                        "; the two files do not belong together");
    }
    if (known >= 0) continue;
    ++next;
    tokens.push_back(token);
  }
  return tokens;
}

DecoderPlan decoder_of(const SentencePieceModel& model) {
  DecoderPlan plan;
  plan.replace.push_back({std::string(kSpace), " "});
  plan.byte_fallback = model.byte_fallback;
  plan.replace_bytes_singly = true;
  if (model.add_dummy_prefix || model.remove_extra_spaces) {
    plan.strip = " ";
    plan.strip_count = 1;
    plan.strip_until_text = model.remove_extra_spaces;
  }
  return plan;
}

Normalizer space_normalizer(bool prefix) {
  std::vector<Normalizer::Step> steps;
  if (prefix) {
    Normalizer::Step step;
    step.kind = Normalizer::Kind::kPrepend;
    step.to = kSpace;
    steps.push_back(std::move(step));
  }
  Normalizer::Step step;
  step.kind = Normalizer::Kind::kReplace;
  step.from = " ";
  step.to = kSpace;
  steps.push_back(std::move(step));
  return Normalizer(std::move(steps));
}

/// Our own BPE, or the library.
void set_engine(const SentencePieceModel& model, std::string_view bytes, const Settings& settings,
                const std::string& source, TokenizerParts& parts) {
  if (is_plain_bpe(model)) {
    parts.model = to_bpe(model);
    for (int byte = 0; byte < 256 && model.byte_fallback; ++byte) {
      const std::int64_t id = model.id_of(byte_token(byte));
      if (id < 0) fail<FormatError>(source, ": has no piece `", byte_token(byte), "`");
      parts.model.byte_ids.push_back(static_cast<std::int32_t>(id));
    }
    parts.normalizer = space_normalizer(model.add_dummy_prefix);
    if (!settings.legacy) parts.later_normalizer = space_normalizer(false);
    return;
  }
  if (!settings.legacy) {
    fail<UnsupportedError>(source,
                           ": tokenizer_config.json sets `legacy` to false, which is "
                           "supported for BPE models without a normalizer only");
  }
  parts.model.byte_level = false;
  for (const Piece& piece : model.pieces) parts.model.tokens.push_back(piece.text);
  parts.library = std::make_shared<SentencePieceLibrary>(bytes, model, source);
  parts.library_hash = core::hash_text(bytes);
}

}  // namespace

std::shared_ptr<PipelineTokenizer> read_sentencepiece(const fs::path& folder) {
  const std::string source = (folder / "tokenizer.model").string();
  const std::string bytes = core::read_file(folder / "tokenizer.model", kMostBytes);
  const SentencePieceModel model = read_sentencepiece_model(bytes, source);
  const Settings settings = read_settings(folder);
  TokenizerParts parts;
  set_engine(model, bytes, settings, source, parts);
  parts.decoder = decoder_of(model);
  parts.added = added_tokens(model, settings, source);
  parts.verbatim.emplace_back(static_cast<std::int32_t>(model.unknown_id), model.unknown_text);
  parts.parses_special = false;
  const auto control = [&](const std::string& text) -> std::int64_t {
    const std::int64_t id = model.id_of(text);
    const bool found =
        id >= 0 && model.pieces[static_cast<std::size_t>(id)].kind == PieceKind::kControl;
    return found ? id : -1;
  };
  const SpecialRoles defaults{control(model.bos), control(model.eos), control(model.pad)};
  const SpecialRoles roles =
      read_special_roles(folder,
                         {[&](std::string_view token) {
                            for (const AddedToken& added : parts.added) {
                              if (added.content == token)
                                return static_cast<std::int64_t>(added.id);
                            }
                            return model.id_of(token);
                          },
                          [](std::int64_t) { return true; },
                          static_cast<std::int64_t>(model.pieces.size() + settings.added.size())},
                         defaults);
  if (settings.add_bos && roles.bos >= 0) parts.frame.before.push_back(roles.bos);
  if (settings.add_eos && roles.eos >= 0) parts.frame.after.push_back(roles.eos);
  auto tokenizer = std::make_shared<PipelineTokenizer>(std::move(parts));
  tokenizer->set_roles(roles);
  return tokenizer;
}

}  // namespace distill::text::detail
