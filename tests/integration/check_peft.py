#!/usr/bin/env python3
"""PEFT opens what distill_train's LoRA wrote, and gives the same logits.

    tests/integration/check_peft.py DISTILL_TRAIN DISTILL

Trains adapters of several kinds on the tiny Llama, opens each folder with PEFT, compares its logits
with those of `distill logits --adapter` and with the merged model of `distill export --adapter`
opened by transformers. Exits with 77 (skipped) without transformers or peft.
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
    from peft import PeftModel
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
}
RECIPE = """
name: {kind}
output: {folder}/run
device: cpu
student: {{model: {model}, lora: {lora}}}
teacher: {{kind: none}}
data: {{train: [{{path: {model}/train.jsonl}}], sequence_length: 64}}
loss: [{{kind: cross_entropy}}]
train: {{steps: 10, batch_size: 2, optimizer: {{kind: adamw, lr: 0.02}}}}
"""


def largest_error(a, b):
    return ((a - b).norm() / b.norm()).item()


def check(kind, lora, train, distill, folder):
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(kind=kind, folder=folder, model=MODEL, lora=lora))
    subprocess.run([train, recipe], check=True, capture_output=True)
    adapter, ids = folder / "run/final", [1, 7, 20, 33, 2, 5, 40, 11]
    (folder / "ids.txt").write_text(" ".join(map(str, ids)) + "\n")

    def logits_of(model, *more):
        out = folder / "logits.safetensors"
        subprocess.run([distill, "logits", "--model", model, *more, "--ids", folder / "ids.txt",
                        "--out", out, "--dtype", "fp32"], check=True, capture_output=True)
        return load_file(out)["logits_0"]

    own = logits_of(MODEL, "--adapter", adapter)
    base = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    with torch.no_grad():
        changed = largest_error(base(torch.tensor([ids])).logits[0], own)
        other = PeftModel.from_pretrained(base, adapter)(torch.tensor([ids])).logits[0]
    errors = {"PEFT": largest_error(own, other)}
    if kind != "embedding":  # its embedding is the head too, so it is not merged
        subprocess.run([distill, "export", "--model", MODEL, "--adapter", adapter, "--dtype", "fp32",
                        "--out", folder / "merged"], check=True, capture_output=True)
        merged = transformers.AutoModelForCausalLM.from_pretrained(folder / "merged",
                                                                   dtype=torch.float32)
        with torch.no_grad():
            errors["merged"] = largest_error(own, merged(torch.tensor([ids])).logits[0])
    print(f"{kind:<12} moved {changed:.2f}, " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items()))
    return changed > 0.01 and max(errors.values()) < 2e-5


def main():
    train, distill = sys.argv[1:]
    bad = []
    for kind, lora in KINDS.items():
        with tempfile.TemporaryDirectory(prefix="peft_") as folder:
            if not check(kind, lora, pathlib.Path(train).resolve(), pathlib.Path(distill).resolve(),
                         pathlib.Path(folder)):
                bad.append(kind)
    if bad:
        sys.exit(f"differ: {', '.join(bad)}")


if __name__ == "__main__":
    main()
