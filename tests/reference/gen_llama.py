"""Writes tests/reference/llama/CASE: tiny random Llama folders with what transformers computes.

Run:  python tests/reference/gen_llama.py
Each CASE holds config.json, model.safetensors and reference.safetensors (fp32, eager attention):
  ids_K          int64, sequences of 1, 7 and 150 ids
  logits_K       [len, vocabulary]
  NAME.grad      gradient of the sum over sequences of the mean next-token loss
  greedy         64 ids that follow ids_1
Script, versions and seed are in the metadata of reference.safetensors.
"""

import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from tiny_models import LENGTHS, fill, logits_and_loss

SEED = 20240607
SHAPE = dict(vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
             rms_norm_eps=1e-5, hidden_act="silu")
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)

CASES = {
    # Published form of the rotary settings; heads of 8, so head_dim follows from the sizes.
    "untied": dict(tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    # Form that transformers 5 writes; heads larger than hidden / heads.
    "tied_llama3": dict(tie_word_embeddings=True, head_dim=12, rope_parameters=LLAMA3),
    "biased_linear": dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True, num_hidden_layers=1,
                          rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)),
}


def make_model(changes, generator):
    config = LlamaConfig(**{**SHAPE, **changes}, attn_implementation="eager")
    model = LlamaForCausalLM(config).float().eval()
    fill(model.named_parameters(), generator)
    return model


def config_json(model, name):
    config = model.config.to_dict()
    if name == "untied":
        config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
        config["rope_scaling"] = None
        config["torch_dtype"] = config.pop("dtype", "float32")
    config["architectures"] = ["LlamaForCausalLM"]
    for key in ("torch_dtype", "dtype"):
        if key in config:
            config[key] = "float32"
    return json.dumps(config, indent=2) + "\n"


def reference(model, generator):
    result, loss = logits_and_loss(model, SHAPE["vocab_size"], generator)
    loss.backward()
    for name, parameter in model.named_parameters():
        result[name + ".grad"] = parameter.grad
    ids = result["ids_1"][None]
    with torch.no_grad():
        for _ in range(64):
            ids = torch.cat([ids, model(ids, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)], 1)
    result["greedy"] = ids[0, LENGTHS[1]:]
    return {name: tensor.clone().contiguous() for name, tensor in result.items()}


def main():
    root = pathlib.Path(__file__).parent / "llama"
    metadata = dict(script="gen_llama.py", seed=str(SEED), torch=torch.__version__,
                    transformers=transformers.__version__)
    for name, changes in CASES.items():
        generator = torch.Generator().manual_seed(SEED)
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        model = make_model(changes, generator)
        weights = {key: value.detach().clone() for key, value in model.named_parameters()}
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(config_json(model, name))
        save_file(reference(model, generator), folder / "reference.safetensors", metadata)


if __name__ == "__main__":
    main()
