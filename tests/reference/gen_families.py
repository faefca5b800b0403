"""Writes tests/reference/families/CASE: tiny random models of every family with what transformers computes.

Run:  python tests/reference/gen_families.py [CASE ...]
Each CASE holds config.json, model.safetensors (published names) and reference.safetensors (fp32, eager attention):
  ids_K          int64, sequences of 1, 7 and 150 ids
  logits_K       [len, vocabulary]
  NAME.grad      gradient of the sum over sequences of the mean next-token loss
  greedy         64 ids that follow ids_1, with a key/value cache
Script, versions and seed are in the metadata of reference.safetensors. `published` cases have config.json in the
form of published folders (rope_theta, rope_scaling, torch_dtype), the others as transformers 5 writes it.
"""

import json
import pathlib
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from tiny_models import fill, logits_and_loss

SEED = 20240611
NEW_IDS = 64
SMALLEST_MARGIN = 2e-3  # between the two best logits of a greedy step

SHAPE = dict(vocab_size=96, hidden_size=32, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, hidden_act="silu",
             bos_token_id=None, eos_token_id=None, pad_token_id=None)
DEFAULT = dict(rope_type="default", rope_theta=10000.0)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)
MOE = dict(moe_intermediate_size=12, num_experts_per_tok=2)
DEEPSEEK = dict(**MOE, num_key_value_heads=4, n_routed_experts=8, n_shared_experts=1, kv_lora_rank=12,
                qk_nope_head_dim=8, qk_rope_head_dim=6, v_head_dim=10, first_k_dense_replace=1)
V3 = dict(**DEEPSEEK, n_group=4, topk_group=2, routed_scaling_factor=2.5, num_nextn_predict_layers=0)

CASES = {
    "llama_dynamic": ("llama", True, dict(max_position_embeddings=64, rope_parameters=dict(
        rope_type="dynamic", rope_theta=10000.0, factor=4.0))),
    "llama_yarn": ("llama", False, dict(tie_word_embeddings=True, rope_parameters=YARN)),
    "mistral_window": ("mistral", True, dict(head_dim=12, sliding_window=20, rope_parameters=DEFAULT)),
    "mistral_full": ("mistral", False, dict(sliding_window=None, num_hidden_layers=1, rope_parameters=DEFAULT)),
    "qwen2": ("qwen2", True, dict(tie_word_embeddings=True, rope_parameters=dict(DEFAULT, rope_theta=1000000.0))),
    "qwen2_window": ("qwen2", False, dict(use_sliding_window=True, sliding_window=16, max_window_layers=1,
                                          rope_parameters=YARN)),
    "qwen3": ("qwen3", True, dict(head_dim=12, tie_word_embeddings=True, rope_parameters=DEFAULT)),
    "qwen3_biased": ("qwen3", False, dict(head_dim=8, attention_bias=True, num_hidden_layers=1,
                                          rope_parameters=DEFAULT)),
    "qwen3_moe": ("qwen3_moe", True, dict(**MOE, head_dim=8, num_experts=8, norm_topk_prob=True,
                                          mlp_only_layers=[0], rope_parameters=DEFAULT)),
    "qwen3_moe_new": ("qwen3_moe", False, dict(**MOE, head_dim=8, num_experts=6, num_hidden_layers=1,
                                               rope_parameters=DEFAULT)),
    "deepseek_v3": ("deepseek_v3", True, dict(**V3, q_lora_rank=14, rope_parameters=dict(
        YARN, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0))),
    "deepseek_v3_new": ("deepseek_v3", False, dict(V3, q_lora_rank=None, attention_bias=True, norm_topk_prob=False,
                                                   rope_parameters=dict(YARN, mscale=0.8, mscale_all_dim=0.5))),
    "deepseek_v2": ("deepseek_v2", True, dict(
        **DEEPSEEK, q_lora_rank=None, topk_method="greedy", routed_scaling_factor=1.0, norm_topk_prob=False,
        rope_parameters=dict(YARN, mscale=0.707, mscale_all_dim=0.707))),
    "deepseek_v2_groups": ("deepseek_v2", False, dict(
        **DEEPSEEK, q_lora_rank=14, topk_method="group_limited_greedy", n_group=4, topk_group=2,
        routed_scaling_factor=1.5, norm_topk_prob=False, num_hidden_layers=2, rope_parameters=DEFAULT)),
}


def make_model(model_type, changes, generator):
    config = AutoConfig.for_model(model_type, **{**SHAPE, **changes})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    fill(model.named_parameters(), generator)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
    return model


def published_weights(model):
    """What save_pretrained writes: experts one by one."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(pathlib.Path(folder) / "model.safetensors")


def published_gradients(model):
    result = {}
    for name, parameter in model.named_parameters():
        if name.endswith("experts.gate_up_proj"):
            for e, both in enumerate(parameter.grad):
                gate, up = both.chunk(2)
                prefix = name.removesuffix("gate_up_proj") + f"{e}."
                result[prefix + "gate_proj.weight"], result[prefix + "up_proj.weight"] = gate, up
        elif name.endswith("experts.down_proj"):
            for e, down in enumerate(parameter.grad):
                result[name.removesuffix("down_proj") + f"{e}.down_proj.weight"] = down
        else:
            result[name] = parameter.grad
    return result


def config_json(model, architecture, published):
    config = model.config.to_dict()
    config["architectures"] = [architecture]
    for key in ("transformers_version", "_name_or_path"):
        config.pop(key, None)
    config["dtype"] = "float32"
    if published:
        rope = dict(config.pop("rope_parameters"))
        config["rope_theta"] = rope.pop("rope_theta")
        rope["type"] = rope.pop("rope_type")
        config["rope_scaling"] = None if rope["type"] == "default" else rope
        config["torch_dtype"] = config.pop("dtype")
        config.pop("layer_types", None)
        if config["model_type"].startswith("deepseek"):
            config["scoring_func"] = "sigmoid" if config["model_type"] == "deepseek_v3" else "softmax"
            config["topk_method"] = "noaux_tc" if config["model_type"] == "deepseek_v3" else config["topk_method"]
            config["moe_layer_freq"] = 1
        if "num_local_experts" in config and config["model_type"] == "qwen3_moe":
            config["num_experts"] = config.pop("num_local_experts")
    return json.dumps(config, indent=2) + "\n"


def greedy(model, ids):
    """With a cache, checking that no step is a near tie."""
    cache, result, step = None, [], ids[None]
    with torch.no_grad():
        for _ in range(NEW_IDS):
            output = model(step, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            best = output.logits[0, -1].topk(2)
            assert best.values[0] - best.values[1] > SMALLEST_MARGIN, "a near tie: choose another seed"
            step = best.indices[:1][None]
            result.append(step[0, 0])
    return torch.stack(result)


def reference(model, generator):
    result, loss = logits_and_loss(model, SHAPE["vocab_size"], generator)
    loss.backward()
    for name, gradient in published_gradients(model).items():
        result[name + ".grad"] = gradient
    # Long sequences leave stretched frequencies behind: a single id resets them.
    model(result["ids_0"][None], use_cache=False)
    result["greedy"] = greedy(model, result["ids_1"])
    return {name: tensor.clone().contiguous() for name, tensor in result.items()}


def main():
    root = pathlib.Path(__file__).parent / "families"
    metadata = dict(script="gen_families.py", seed=str(SEED), torch=torch.__version__,
                    transformers=transformers.__version__)
    for name in sys.argv[1:] or CASES:
        model_type, published, changes = CASES[name]
        for attempt in range(50):
            generator = torch.Generator().manual_seed(SEED + attempt)
            model = make_model(model_type, changes, generator)
            try:
                values = reference(model, generator)
                break
            except AssertionError:
                continue
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        weights = published_weights(model)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(config_json(model, type(model).__name__, published))
        save_file(values, folder / "reference.safetensors", dict(metadata, seed=str(SEED + attempt)))
        missing = set(weights) - {key.removesuffix(".grad") for key in values}
        print(name, f"seed +{attempt}", sum(f.stat().st_size for f in folder.iterdir()), "bytes; no gradient:", missing)


if __name__ == "__main__":
    main()
