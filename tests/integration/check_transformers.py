"""Distil the tiny model, then open the result in transformers: same logits, same tokens, same text.

    check_transformers.py DISTILL_TRAIN DISTILL
Exits with 77 (skipped) where transformers is not installed.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
    from safetensors.torch import load_file
except ImportError as missing:
    print(f"skipped: {missing}; pip install transformers into .venv to run this test")
    sys.exit(77)

TINY = pathlib.Path(__file__).parents[1] / "reference/tiny_llama"
RECIPE = """
name: tiny
output: {out}
device: cpu
precision: {precision}
student: {{init: {{from: teacher, keep_layers: 2}}}}
teacher: {{kind: local, model: {tiny}}}
data:
  train: [{{path: {tiny}/train.jsonl}}]
  eval: [{{path: {tiny}/eval.jsonl}}]
  sequence_length: 48
loss: [{{kind: forward_kl, temperature: 2.0}}]
train: {{steps: 5, batch_size: 4, micro_batch_size: 2}}
"""
TEXT = "A teacher counts 12 sacks; a student learns."


def check(folder, distill_train, distill, precision):
    run = folder / precision
    recipe = folder / f"{precision}.yaml"
    recipe.write_text(RECIPE.format(out=run, tiny=TINY, precision=precision))
    subprocess.run([distill_train, recipe], check=True, capture_output=True)
    final = run / "final"
    tokenizer = transformers.AutoTokenizer.from_pretrained(final)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        final, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    assert model.config.num_hidden_layers == 2

    ids = tokenizer(TEXT)["input_ids"]
    ours = subprocess.run([distill, "tokenize", "--model", final], input=TEXT, text=True, check=True,
                          capture_output=True).stdout.split()
    assert ids == [int(i) for i in ours], (ids, ours)

    (folder / "ids").write_text(" ".join(map(str, ids)) + "\n")
    subprocess.run([distill, "logits", "--model", final, "--ids", folder / "ids", "--out", folder / "l.safetensors",
                    "--device", "cpu"],
                   check=True, capture_output=True)
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([ids])).logits[0]
    error = ((load_file(folder / "l.safetensors")["logits_0"] - expected).norm() / expected.norm()).item()
    assert error < 2e-5, error

    generated = subprocess.run([distill, "generate", "--model", final, "--prompt", TEXT, "--dtype", "fp32", "--json",
                                "--max-new-tokens", "16"], text=True, check=True, capture_output=True).stdout
    peer = model.generate(torch.tensor([ids]), max_new_tokens=16, do_sample=False)[0, len(ids):].tolist()
    assert json.loads(generated)["ids"] == peer, (generated, peer)
    print(f"{precision}: logits differ by {error:.1e}, {len(ids)} ids and {len(peer)} generated ids are equal")


def main():
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("fp32", "bf16"):
            check(pathlib.Path(folder), sys.argv[1], sys.argv[2], precision)


if __name__ == "__main__":
    main()
