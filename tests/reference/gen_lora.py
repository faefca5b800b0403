"""Writes tests/reference/lora/CASE: adapters as PEFT saves them and what PEFT computes with them.

Run:  python tests/reference/gen_lora.py [CASE ...]     (transformers, peft)
The base is tests/reference/llama/untied or tied_llama3, as MODEL in each case says. Each CASE holds
adapter_config.json and adapter_model.safetensors, and in reference.safetensors (fp32):
  ids_K, logits_K   sequences of 1, 7 and 150 ids
  NAME.grad         gradient of every adapter tensor, under its name in the file, of the sum over
                    sequences of the mean next-token loss
  merged.WEIGHT     two weights of the model after merge_and_unload
Script, versions and seed are in the metadata of reference.safetensors.
"""

import json
import pathlib
import sys

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from tiny_models import logits_and_loss

SEED = 20261128
ROOT = pathlib.Path(__file__).parent
MERGED = ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# base, settings of PEFT
CASES = {
    "plain": ("untied", dict(r=4, lora_alpha=6, target_modules=ALL)),
    "rslora": ("tied_llama3", dict(r=3, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "v_proj"])),
    "dora": ("untied", dict(r=4, lora_alpha=8, use_dora=True, target_modules=["q_proj", "o_proj", "down_proj"])),
    "patterns": ("untied", dict(r=4, lora_alpha=8, target_modules=r".*layers\.\d+\.(self_attn\.q_proj|mlp\.down_proj)",
                                rank_pattern={r"layers.1.*down_proj": 2}, alpha_pattern={"q_proj": 3})),
    "embedding": ("untied", dict(r=2, lora_alpha=2, target_modules=["embed_tokens", "down_proj"])),
    "dora_embedding": ("untied", dict(r=3, lora_alpha=6, use_dora=True, target_modules=["embed_tokens", "o_proj"])),
    "one_layer": ("tied_llama3", dict(r=2, lora_alpha=4, target_modules=ALL, layers_to_transform=[1])),
}


def tensor_of(model, name):
    """The parameter that PEFT's file has under `name`."""
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.replace(".default", "").removesuffix(".weight") == name.removesuffix(".weight"):
            return parameter
    raise KeyError(name)


def make(case, base, settings):
    generator = torch.Generator().manual_seed(SEED)
    folder = ROOT / "lora" / case
    model = transformers.AutoModelForCausalLM.from_pretrained(ROOT / "llama" / base, attn_implementation="eager")
    model = get_peft_model(model.float(), LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "magnitude" in name:
                parameter.mul_(1 + 0.2 * torch.randn(parameter.shape, generator=generator))
            elif "lora_" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    # As a published folder names its base.
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = f"example/{base}"
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    result, loss = logits_and_loss(model, model.config.vocab_size, generator)
    loss.backward()
    for name in load_file(folder / "adapter_model.safetensors"):
        if "base_layer" not in name:
            result[name + ".grad"] = tensor_of(model, name).grad
    merged = dict(model.merge_and_unload().named_parameters())
    for name in MERGED:
        if name in merged:
            result["merged." + name] = merged[name].detach()
    metadata = dict(script="gen_lora.py", seed=str(SEED), base=base, torch=torch.__version__,
                    transformers=transformers.__version__, peft=peft.__version__)
    save_file({name: tensor.clone().contiguous() for name, tensor in result.items()},
              folder / "reference.safetensors", metadata)


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        make(case, *CASES[case])
