#!/usr/bin/env python3
"""Make a small Llama with random weights and the tokenizer of another folder.

    scripts/new_student.py --tokenizer DIR --vocab-size N --out DIR [--hidden 256] [--layers 6] ...

Nothing but the standard library is needed. The same arguments give the same weights: normal numbers
of 0.02, those of projections into the residual stream divided by sqrt(2 layers), norms 1.
"""
import argparse
import array
import json
import pathlib
import random
import shutil
import struct
import sys

TOKENIZER_FILES = ["tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
                   "chat_template.jinja"]


def shapes(args):
    """Names of the Hugging Face format, shapes, and the size of the first values (None: ones)."""
    width = args.hidden // args.heads
    last = 0.02 / (2 * args.layers) ** 0.5
    yield "model.embed_tokens.weight", [args.vocab_size, args.hidden], 0.02
    for layer in range(args.layers):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", [args.hidden], None
        yield at + "self_attn.q_proj.weight", [args.heads * width, args.hidden], 0.02
        yield at + "self_attn.k_proj.weight", [args.kv_heads * width, args.hidden], 0.02
        yield at + "self_attn.v_proj.weight", [args.kv_heads * width, args.hidden], 0.02
        yield at + "self_attn.o_proj.weight", [args.hidden, args.heads * width], last
        yield at + "post_attention_layernorm.weight", [args.hidden], None
        yield at + "mlp.gate_proj.weight", [args.intermediate, args.hidden], 0.02
        yield at + "mlp.up_proj.weight", [args.intermediate, args.hidden], 0.02
        yield at + "mlp.down_proj.weight", [args.hidden, args.intermediate], last
    yield "model.norm.weight", [args.hidden], None


def values(shape, size, numbers):
    count = 1
    for extent in shape:
        count *= extent
    if size is None:
        return array.array("f", [1.0]) * count
    return array.array("f", (numbers.gauss(0.0, size) for _ in range(count)))


def write_weights(path, args):
    numbers = random.Random(args.seed)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _ in shapes(args):
        size = 4
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, shape, size in shapes(args):
            data = values(shape, size, numbers)
            if sys.byteorder == "big":
                data.byteswap()
            out.write(data.tobytes())
    return offset // 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--vocab-size", type=int, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    for name, default in [("hidden", 256), ("layers", 6), ("heads", 4), ("kv-heads", 2), ("intermediate", 704),
                          ("positions", 1024), ("seed", 1), ("bos", 1), ("eos", 2)]:
        parser.add_argument("--" + name, type=int, default=default)
    args = parser.parse_args()
    if args.hidden % args.heads or args.heads % args.kv_heads:
        parser.error("--hidden must be a multiple of --heads, and --heads one of --kv-heads")
    args.out.mkdir(parents=True, exist_ok=False)
    for name in TOKENIZER_FILES:
        if (args.tokenizer / name).exists():
            shutil.copy(args.tokenizer / name, args.out / name)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": args.vocab_size,
        "hidden_size": args.hidden, "intermediate_size": args.intermediate, "num_hidden_layers": args.layers,
        "num_attention_heads": args.heads, "num_key_value_heads": args.kv_heads,
        "head_dim": args.hidden // args.heads, "max_position_embeddings": args.positions, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None, "attention_bias": False,
        "mlp_bias": False, "tie_word_embeddings": True, "bos_token_id": args.bos, "eos_token_id": args.eos,
        "torch_dtype": "float32"}
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    parameters = write_weights(args.out / "model.safetensors", args)
    print(f"{args.out}: {parameters:,} parameters")


if __name__ == "__main__":
    main()
