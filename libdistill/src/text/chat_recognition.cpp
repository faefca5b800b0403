#include <algorithm>
#include <initializer_list>
#include <utility>

#include "text/chat_forms.h"
#include "text/outline_reduction.h"

namespace distill::text::detail {
namespace {

using Items = TemplateOutline;

Items join(std::initializer_list<Items> parts) {
  Items all;
  for (const Items& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

const Items kEndIf = {"{endif}"};
const Items kLoop = {"{for message in messages}"};
const Items kEndLoop = {"{endfor}"};

/// `{if add_generation_prompt}<TEXT>{endif}`
Items prompt(const std::string& text) {
  return {"{if add_generation_prompt}", "<" + quote_text(text) + ">", "{endif}"};
}

std::vector<Items> llama3_dates() {
  const Items fixed = {"{set date_string = '26 Jul 2024'}"};
  const Items now = {"{set date_string = strftime_now ('%d %b %Y')}"};
  const Items unset = {"{if not date_string is defined}"};
  return {join({unset, fixed, kEndIf}),
          join({unset, {"{if strftime_now}"}, now, {"{else}"}, fixed, kEndIf, kEndIf})};
}

const Items kLlama3Prompt = prompt("<|start_header_id|>assistant<|end_header_id|>\n\n");
constexpr const char* kLlama3Turn =
    R"('<|start_header_id|>'+message.role+'<|end_header_id|>\n\n'+message.content | trim+'<|eot_id|>')";

bool is_llama31(const Items& items) {
  const Items system = {
      "{if messages[0].role == 'system'}",
      "{set system_message = messages[0].content | trim}",
      "{set messages = messages[1 :]}",
      "{else}",
      "{set system_message = ''}",
      "{endif}",
      R"(<'<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: '+date_string+'\n\n'+system_message+'<|eot_id|>'>)"};
  const Items turns =
      join({kLoop, {"<" + std::string(kLlama3Turn) + ">"}, kEndLoop, kLlama3Prompt});
  return std::ranges::any_of(llama3_dates(), [&](const Items& date) {
    return items == join({{"<bos_token>"}, date, system, turns});
  });
}

bool is_llama30(const Items& items) {
  return items ==
         join(
             {{"{set loop_messages = messages}", "{for message in loop_messages}",
               R"({set content = '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>'})",
               "{if loop.index0 == 0}", "{set content = bos_token + content}", "{endif}",
               "<content>", "{endfor}"},
              kLlama3Prompt});
}

/// The namespace that DeepSeek's templates begin with, its other members unused here.
bool is_namespace(const std::string& item, bool joins) {
  return item.starts_with("{set ns = namespace (") &&
         item.find("system_prompt = ''") != std::string::npos &&
         (!joins || item.find("is_first_sp = true") != std::string::npos);
}

std::optional<DeepSeekChat::Options> recognise_deepseek(Items items) {
  if (items.empty()) return std::nullopt;
  const std::string first = std::exchange(items[0], "NAMESPACE");
  const Items joined = {"{if ns.is_first_sp}",
                        "{set ns.system_prompt = ns.system_prompt + message.content}",
                        "{set ns.is_first_sp = false}",
                        "{else}",
                        R"({set ns.system_prompt = ns.system_prompt + '\n\n' + message.content})",
                        "{endif}"};
  const Items last = {"{set ns.system_prompt = message.content}"};
  const Items user = {"{if message.role == 'user'}", "<'<｜User｜>'+message.content>", "{endif}"};
  const Items answer = {"<'<｜Assistant｜>'+message.content+'<｜end▁of▁sentence｜>'>"};
  const Items stripped = {"{set content = message.content}", "{if '</think>' in content}",
                          "{set content = content.split ('</think>')[- 1]}", "{endif}",
                          "<'<｜Assistant｜>'+content+'<｜end▁of▁sentence｜>'>"};
  for (const bool joins : {true, false}) {
    if (!is_namespace(first, joins)) continue;
    for (const bool drops : {true, false}) {
      for (const std::string suffix : {"", "<think>\n"}) {
        const Items form = join({{"NAMESPACE"},
                                 kLoop,
                                 {"{if message.role == 'system'}"},
                                 joins ? joined : last,
                                 kEndIf,
                                 kEndLoop,
                                 {"<bos_token+ns.system_prompt>"},
                                 kLoop,
                                 user,
                                 {"{if message.role == 'assistant'}"},
                                 drops ? stripped : answer,
                                 kEndIf,
                                 kEndLoop,
                                 prompt("<｜Assistant｜>" + suffix)});
        if (items == form) return DeepSeekChat::Options{drops, joins, suffix};
      }
    }
  }
  return std::nullopt;
}

/// The errors a template raises do not matter: what it raises them for is refused here too.
Items without_errors(Items items) {
  for (std::string& item : items) {
    if (item.starts_with("<raise_exception (")) item = "ERROR";
  }
  return items;
}

std::optional<MistralChat::Options> recognise_mistral(const Items& outline) {
  const Items items = without_errors(outline);
  const std::pair<const char*, MistralChat::Options> answers[] = {
      {"<message.content+eos_token>", {"", ""}},
      {"<message.content+eos_token+' '>", {"", " "}},
      {"<' '+message.content+eos_token>", {" ", ""}},
  };
  for (const auto& [answer, options] : answers) {
    const Items form =
        join({{"<bos_token>"},
              kLoop,
              {"{if (message.role == 'user') != (loop.index0 % 2 == 0)}", "ERROR", "{endif}",
               "{if message.role == 'user'}", "<'[INST] '+message.content+' [/INST]'>",
               "{elif message.role == 'assistant'}", answer, "{else}", "ERROR", "{endif}"},
              kEndLoop});
    if (items == form) return options;
  }
  return std::nullopt;
}

bool is_qwen3(const Items& items) {
  const Items system = {"{if messages[0].role == 'system'}",
                        R"(<'<|im_start|>system\n'+messages[0].content+'<|im_end|>\n'>)",
                        "{endif}"};
  const Items query = {
      "{set ns = namespace (multi_step_tool = true, last_query_index = messages | length - 1)}",
      "{for message in messages[: : - 1]}",
      "{set index = (messages | length - 1) - loop.index0}",
      "{if ns.multi_step_tool and message.role == 'user' and message.content is string and not "
      "(message.content.startswith ('<tool_response>') and message.content.endswith "
      "('</tool_response>'))}",
      "{set ns.multi_step_tool = false}",
      "{set ns.last_query_index = index}",
      "{endif}",
      "{endfor}"};
  const std::string plain = R"(<'<|im_start|>'+message.role+'\n'+content>)";
  const Items turns = {
      "{set content = message.content}",
      "{if (message.role == 'user') or (message.role == 'system' and not loop.first)}",
      R"(<'<|im_start|>'+message.role+'\n'+content+'<|im_end|>\n'>)",
      "{elif message.role == 'assistant'}",
      "{set reasoning_content = ''}",
      "{if '</think>' in content}",
      R"({set reasoning_content = content.split ('</think>')[0].rstrip ('\n').split ('<think>')[- 1].lstrip ('\n')})",
      R"({set content = content.split ('</think>')[- 1].lstrip ('\n')})",
      "{endif}",
      "{if loop.index0 > ns.last_query_index}",
      "{if loop.last or (not loop.last and reasoning_content)}",
      R"(<'<|im_start|>'+message.role+'\n<think>\n'+reasoning_content.strip ('\n')+'\n</think>\n\n'+content.lstrip ('\n')>)",
      "{else}",
      plain,
      "{endif}",
      "{else}",
      plain,
      "{endif}",
      R"(<'<|im_end|>\n'>)",
      "{endif}"};
  return items == join({system, query, kLoop, turns, kEndLoop, prompt("<|im_start|>assistant\n")});
}

}  // namespace

std::shared_ptr<const ChatTemplate> recognise_chat(std::string_view source,
                                                   const ChatTokens& tokens) {
  auto outline = outline_template(source);
  if (!outline) return nullptr;
  const Items items = reduce_outline(std::move(*outline));
  if (is_llama31(items)) return std::make_shared<Llama3Chat>(tokens, true);
  if (is_llama30(items)) return std::make_shared<Llama3Chat>(tokens, false);
  if (auto options = recognise_deepseek(items)) {
    return std::make_shared<DeepSeekChat>(tokens, std::move(*options));
  }
  if (auto options = recognise_mistral(items)) {
    return std::make_shared<MistralChat>(tokens, std::move(*options));
  }
  if (is_qwen3(items)) return std::make_shared<Qwen3Chat>();
  return nullptr;
}

}  // namespace distill::text::detail
