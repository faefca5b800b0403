#!/usr/bin/env python3
"""What makes a small student good at equal tokens: one recipe, changed key by key.

    tests/bench/best_recipe.py --train FILE.jsonl... --eval FILE.jsonl --work FOLDER [--seeds 17 18 19] [--only NAME...]

A student of 12 layers of SmolLM2-135M-Instruct and 196,608 tokens each time. `plain` is the recipe that plain
PyTorch was given; `base` is ours, and all others are `base` with what their name says. Needs nothing but the
built programs."""

import argparse

import variants

RECIPE = """name: experiment
output: runs/experiment
precision: bf16
device: cpu
student:
  model: {model}
  init: {{from: model, keep_layers: [0, 3, 5, 8, 11, 13, 16, 18, 21, 24, 26, 29]}}
  freeze: [model.embed_tokens.weight]
teacher: {{kind: local, model: {model}}}
data:
  train: {train}
  sequence_length: 256
loss:
  - {{kind: forward_kl, temperature: 1.0}}
train:
  steps: 768
  batch_size: 1
  micro_batch_size: 1
  optimizer: {{kind: adamw, lr: 2.0e-3, betas: [0.9, 0.95]}}
  schedule: {{kind: cosine, warmup_steps: 40, min_lr_ratio: 0.1}}
checkpoint: {{every: 0}}
"""

ENDS = "student.init.keep_layers=[0, 1, 2, 4, 8, 12, 16, 20, 24, 27, 28, 29]"
LONG = ["data.sequence_length=512", "train.steps=384", "train.schedule.warmup_steps=20"]

VARIANTS = [
    variants.Variant("plain", [*LONG, "train.optimizer.lr=1e-3"]),
    variants.Variant("base", []),
    variants.Variant("rows_128", ["data.sequence_length=128", "train.steps=1536", "train.schedule.warmup_steps=80"]),
    variants.Variant("lr_1e-3", ["train.optimizer.lr=1e-3"]),
    variants.Variant("lr_4e-3", ["train.optimizer.lr=4e-3"]),
    variants.Variant("layers_at_the_ends", [ENDS]),
    variants.Variant("temperature_2", ["loss=[{kind: forward_kl, temperature: 2.0}]"]),
    variants.Variant("half_cross_entropy", ["loss=[{kind: forward_kl, temperature: 1.0, weight: 0.5}, "
                                            "{kind: cross_entropy, weight: 0.5}]"]),
    variants.Variant("hidden_mse", ["loss=[{kind: forward_kl, temperature: 1.0}, "
                                    "{kind: hidden_mse, relative: true, weight: 1.0}]"]),
    variants.Variant("hidden_cosine", ["loss=[{kind: forward_kl, temperature: 1.0}, "
                                       "{kind: hidden_cosine, weight: 1.0}]"]),
    variants.Variant("attention_kl", ["loss=[{kind: forward_kl, temperature: 1.0}, "
                                      "{kind: attention_kl, weight: 1.0}]"]),
    variants.Variant("embeddings_trained", ["student.freeze=[]"]),
    variants.Variant("muon", ["train.optimizer={kind: muon, lr: 2.0e-3}"]),
    variants.Variant("muon_rows_512", [*LONG, "train.optimizer={kind: muon, lr: 2.0e-3}"]),
]


def main():
    args = variants.add_arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0])).parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    recipe = args.work / "recipe.yaml"
    recipe.write_text(RECIPE.format(model=args.model, train=variants.train_files(args)))
    variants.print_table(variants.run_all(args, recipe, VARIANTS))


if __name__ == "__main__":
    main()
