"""Compares rendered conversations, their ids and the loss mask with transformers' apply_chat_template,
for the templates of ../shared/tokenizers and for published forms of others.

    check_chat_templates.py PROBE      exit 77: transformers or the sets are not there
"""
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    from transformers import PreTrainedTokenizerFast
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETS = pathlib.Path(os.environ.get("DISTILL_SHARED", ROOT.parent / "shared")) / "tokenizers"

# Templates in the shape in which they are published, without their parts for tools.
LLAMA_30 = ("{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
            "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
            "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
MISTRAL = ("{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}"
           "{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
           "{{ ANSWER }}{% else %}{{ raise_exception('roles') }}{% endif %}{% endfor %}")
QWEN_3 = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {{- 'x' }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {{- 'y' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
"""
CASES = [  # name, tokenizer, template (None: its own), format
    ("smollm2", "smollm2", None, "chatml"), ("qwen2.5", "qwen2.5", None, "chatml"), ("llama-3.1", "llama-3.1", None, "llama3"),
    ("deepseek-r1", "deepseek-r1", None, "deepseek"), ("llama-3.0", "llama-3.1", LLAMA_30, "llama3"), ("qwen3", "qwen2.5", QWEN_3, "qwen3"),
    ("mistral-0.1", "gpt2", MISTRAL.replace("ANSWER", "message['content'] + eos_token + ' '"), "mistral"),
    ("mistral-0.2", "gpt2", MISTRAL.replace("ANSWER", "message['content'] + eos_token"), "mistral"),
    ("mistral-0.3", "gpt2", MISTRAL.replace("ANSWER", "' ' + message['content'] + eos_token"), "mistral"),
]
TEXTS = ["Hi", "", " 2+2? ", "\n\na\n", "\u4f60\u597d\uff01\n", "<think>\nhm\n</think>\n\nfour", "</think>x", "a</think>b</think>\n c", "\U0001f600\u3000", "caf\u00e9 \x1f"]
ROLES = [["user"], ["user", "assistant"], ["system", "user", "assistant"], ["user", "assistant", "user"], ["system", "user", "assistant", "user", "assistant"],
         ["user", "assistant", "user", "assistant"], ["system"], ["assistant"], ["user", "user"], ["user", "system", "assistant"], ["system", "system", "user"],
         ["user", "assistant", "assistant"]]


def conversations():
    for roles, shift in itertools.product(ROLES, range(len(TEXTS))):
        yield [{"role": role, "content": TEXTS[(shift + 3 * i) % len(TEXTS)]} for i, role in enumerate(roles)]


def prepare(folder, tokenizer, template):
    source = SETS / tokenizer
    (folder / "tokenizer.json").symlink_to(source / "tokenizer.json")
    config = json.loads((source / "tokenizer_config.json").read_text()) if (source / "tokenizer_config.json").exists() else {
        "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    if template:
        config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokens = {key: value["content"] if isinstance(value, dict) else value for key in ("bos_token", "eos_token") if (value := config.get(key))}
    return PreTrainedTokenizerFast(tokenizer_file=str(source / "tokenizer.json"), chat_template=config["chat_template"], **tokens)


def check(program, name, tokenizer, template, form):
    with tempfile.TemporaryDirectory() as folder:
        package = prepare(pathlib.Path(folder), tokenizer, template)
        rows = [{"messages": messages, "prompt": prompt} for messages in conversations() for prompt in (False, True)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        result = subprocess.run([program, folder, "chat"], input=lines, capture_output=True, text=True, check=True).stdout
    bad = compared = 0
    for row, line in zip(rows, result.split("\n"), strict=False):
        found = json.loads(line)
        try:
            text = package.apply_chat_template(row["messages"], tokenize=False, add_generation_prompt=row["prompt"], date_string="26 Jul 2024")
        except Exception:  # the template's own refusal
            if "error" not in found:
                bad += 1
                print(f"{name}: accepted {row}")
            continue
        ids = package.encode(text, add_special_tokens=False)
        compared += 1
        if found.get("text") != text or found.get("ids") != ids or found.get("name") != form:
            bad += 1
            if bad < 4:
                print(f"{name}: {row}\n  expected {text!r}\n  is       {found!r}")
            continue
        # What is learned: for each answer its text and one end of turn.
        targets = package.decode([i for i, target in zip(ids, found["targets"]) if target])
        answers = sum(message["role"] == "assistant" for message in row["messages"])
        ends = sum(targets.count(end) for end in ("<|im_end|>", "<|eot_id|>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<|endoftext|>"))
        if ends != answers:
            bad += 1
            print(f"{name}: {row} learns {targets!r}")
    print(f"{name}: {compared} conversations, {bad} differences", flush=True)
    return bad


def main():
    if not SETS.is_dir():
        print(f"skipped: {SETS} is not there")
        return 77
    return 1 if sum(check(sys.argv[1], *case) for case in CASES) else 0


if __name__ == "__main__":
    sys.exit(main())
