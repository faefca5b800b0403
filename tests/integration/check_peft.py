#!/usr/bin/env python3
"""PEFT and libdistill open each other's adapters, and give the same logits.

    tests/integration/check_peft.py DISTILL_TRAIN DISTILL

Trains adapters of several kinds on the tiny Llama, and of the attention on small mixtures of
experts, opens each folder with PEFT, compares its logits with those of `distill logits --adapter`
and with the merged model of `distill export --adapter` opened by transformers. For the mixtures
also the other way: `distill logits --adapter` of what PEFT saved. Exits with 77 (skipped) without
transformers or peft.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
    from peft import LoraConfig, PeftModel, get_peft_model
    from safetensors.torch import load_file
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/reference/tiny_llama"
KINDS = {
    "lora": "{rank: 4, alpha: 8}",
    "rslora": "{rank: 4, rslora: true, targets: [q_proj, v_proj]}",
    "dora": "{rank: 4, dora: true}",
    "pissa": "{rank: 4, init: pissa}",
    "patterns": "{rank: 4, rank_pattern: [{modules: down_proj, rank: 2, alpha: 3}]}",
    "some_layers": r"{rank: 4, targets: '.*layers\.[01]\.mlp\..*'}",
    "embedding": "{rank: 2, targets: [embed_tokens, o_proj]}",
    "dora_embedding": "{rank: 2, dora: true, dropout: 0.1, targets: [embed_tokens, o_proj]}",
}
# Of mixtures PEFT with transformers 5 reads the attention's adapters alone (docs/lora.md).
ATTENTION = {
    "qwen3_moe": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "deepseek_v3": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
}
IDS = [1, 7, 20, 33, 2, 5, 40, 11]
RECIPE = """
name: {kind}
output: {folder}/run
device: cpu
student: {{model: {model}, lora: {lora}}}
teacher: {{kind: none}}
data: {{train: [{{path: {data}/train.jsonl}}], sequence_length: 64}}
loss: [{{kind: cross_entropy}}]
train: {{steps: 10, batch_size: 2, optimizer: {{kind: adamw, lr: 0.02}}}}
"""


def largest_error(a, b):
    return ((a - b).norm() / b.norm()).item()


def open_model(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits_by(model):
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0]


class Programs:
    def __init__(self, train, distill, folder):
        self.train, self.distill, self.folder = train, distill, folder

    def train_adapter(self, kind, model, lora):
        recipe = self.folder / "recipe.yaml"
        recipe.write_text(RECIPE.format(kind=kind, folder=self.folder, model=model, data=MODEL, lora=lora))
        subprocess.run([self.train, recipe], check=True, capture_output=True)
        return self.folder / "run/final"

    def logits(self, model, *more):
        ids, out = self.folder / "ids.txt", self.folder / "logits.safetensors"
        ids.write_text(" ".join(map(str, IDS)) + "\n")
        subprocess.run([self.distill, "logits", "--model", model, *more, "--ids", ids, "--out", out, "--dtype",
                        "fp32"], check=True, capture_output=True)
        return load_file(out)["logits_0"]

    def merged(self, model, adapter):
        out = self.folder / "merged"
        subprocess.run([self.distill, "export", "--model", model, "--adapter", adapter, "--dtype", "fp32",
                        "--out", out], check=True, capture_output=True)
        return open_model(out)


def show(name, changed, errors):
    print(f"{name:<18} moved {changed:.2f}, " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items()))
    return changed > 0.01 and max(errors.values()) < 2e-5


def check(programs, name, model, lora, merges=True):
    """What distill_train wrote."""
    adapter = programs.train_adapter(name, model, lora)
    own = programs.logits(model, "--adapter", adapter)
    base = open_model(model)
    changed = largest_error(logits_by(base), own)
    errors = {"PEFT": largest_error(own, logits_by(PeftModel.from_pretrained(base, adapter)))}
    if merges:
        errors["merged"] = largest_error(own, logits_by(programs.merged(model, adapter)))
    return show(name, changed, errors)


def check_back(programs, name, model, **settings):
    """What PEFT wrote."""
    base = open_model(model)
    before = logits_by(base)
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=6, **settings)).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter_name, parameter in adapted.named_parameters():
            if "lora_A" in parameter_name or "lora_B" in parameter_name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    adapted.save_pretrained(programs.folder / "peft")
    expected = logits_by(adapted)
    own = programs.logits(model, "--adapter", programs.folder / "peft")
    return show(name, largest_error(before, expected), {"libdistill": largest_error(own, expected)})


def small_mixture(family, folder):
    """A random model of the family with the tiny Llama's tokenizer."""
    torch.manual_seed(3)
    config = transformers.AutoConfig.from_pretrained(ROOT / "tests/reference/families" / family)
    config.vocab_size = transformers.AutoConfig.from_pretrained(MODEL).vocab_size
    model = transformers.AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.copy_(0.25 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL / name, folder)
    return folder


def main():
    train, distill = (pathlib.Path(path).resolve() for path in sys.argv[1:])
    bad = []

    def run(name, action):
        with tempfile.TemporaryDirectory(prefix="peft_") as folder:
            if not action(Programs(train, distill, pathlib.Path(folder))):
                bad.append(name)

    for kind, lora in KINDS.items():
        merges = "embedding" not in kind  # its embedding is the head too, so it is not merged
        run(kind, lambda programs: check(programs, kind, MODEL, lora, merges))
    for family, targets in ATTENTION.items():
        with tempfile.TemporaryDirectory(prefix="mixture_") as folder:
            model = small_mixture(family, pathlib.Path(folder))
            lora = f"{{rank: 4, targets: [{', '.join(targets)}]}}"
            run(family, lambda programs: check(programs, family, model, lora))
            for dora in (False, True):
                name = f"{family} {'dora' if dora else 'lora'}"
                run(name, lambda programs: check_back(programs, name, model, target_modules=targets, use_dora=dora))
    if bad:
        sys.exit(f"differ: {', '.join(bad)}")


if __name__ == "__main__":
    main()
