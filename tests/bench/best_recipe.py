#!/usr/bin/env python3
"""What makes a small student good at equal tokens: one recipe, changed key by key.

    tests/bench/best_recipe.py --train FILE.jsonl... --eval FILE.jsonl --work FOLDER [--tokens 196608]
                               [--seeds 17 18 19] [--only NAME...]

A student of 12 layers of SmolLM2-135M-Instruct each time. `plain` is the recipe that plain PyTorch was given, `base`
is ours (its layers are those that `distill layers --keep 12` finds on the training files), and all others are `base`
with what their name says. The teacher is captured once, in hidden states, which give the very signal of the teacher
itself; losses over inner layers have it in memory. Needs nothing but the built programs, and for merged layers torch
and safetensors."""

import argparse
import os

import merge_layers
import variants

# What `distill layers --keep 12` finds.
CHOSEN = [0, 1, 2, 8, 10, 11, 13, 19, 22, 23, 27, 29]

RECIPE = variants.TRAINING + """name: experiment
output: runs/experiment
student:
  model: {model}
  init: {{from: model, keep_layers: {chosen}, fit: {{tokens: {tokens}}}}}
  freeze: [model.embed_tokens.weight]
teacher: {{kind: cache, path: {cache}, model: {model}, form: hidden}}
"""

EVEN = "[0, 3, 5, 8, 11, 13, 16, 18, 21, 24, 26, 29]"
# From the choice of `base`, single layers moved while the KL before training falls.
MOVED = "[0, 1, 2, 8, 9, 11, 13, 19, 21, 23, 27, 29]"
# As that of `base`, with no gap wider than 5 layers in place of 6.
NARROW = "[0, 1, 2, 3, 8, 11, 15, 20, 22, 23, 27, 29]"
ENDS = "[0, 1, 2, 4, 8, 12, 16, 20, 24, 27, 28, 29]"
NO_FIT = "student.init.fit=null"
KL = "{kind: forward_kl, temperature: 1.0}"


def layers(chosen):
    return f"student.init.keep_layers={chosen}"


def rate(value):
    return f"train.optimizer.lr={value}"


def loss(*terms):
    return f"loss=[{', '.join(terms)}]"


def merged(args, how):
    """A student that begins with kept layers into which those left out are merged, in place of the fit."""
    return variants.Variant(f"merged_{how}", [f"student.model={args.work.resolve() / f'merged_{how}'}", NO_FIT])


def all_variants(args):
    """For rows of 256 tokens, and of 512."""
    local = f"teacher={{kind: local, model: {args.model}}}"
    return [
        variants.Variant("base", []),
        variants.Variant("no_fit", [NO_FIT]),
        variants.Variant("no_fit_lr_1e-3", [NO_FIT, rate(1e-3)]),
        variants.Variant("fit_on_16k", ["student.init.fit.tokens=16384"]),
        merged(args, "mean"),
        merged(args, "differences"),
        variants.Variant("even_layers", [layers(EVEN)]),
        variants.Variant("even_layers_no_fit", [layers(EVEN), NO_FIT, rate(1e-3)]),
        variants.Variant("layers_moved", [layers(MOVED)]),
        variants.Variant("narrow_gaps", [layers(NARROW)]),
        variants.Variant("layers_at_the_ends", [layers(ENDS)]),
        variants.Variant("lr_1e-3", [rate(1e-3)]),
        variants.Variant("lr_3e-4", [rate(3e-4)]),
        variants.Variant("lr_to_0", ["train.schedule.min_lr_ratio=0.0"]),
        variants.Variant("temperature_2", [loss("{kind: forward_kl, temperature: 2.0}")]),
        variants.Variant("half_cross_entropy", [loss("{kind: forward_kl, temperature: 1.0, weight: 0.5}",
                                                     "{kind: cross_entropy, weight: 0.5}")]),
        variants.Variant("skew_kl", [loss("{kind: skew_forward_kl, temperature: 1.0, alpha: 0.1}")]),
        variants.Variant("hidden_mse", [local, loss(KL, "{kind: hidden_mse, relative: true, weight: 1.0}")]),
        variants.Variant("hidden_cosine", [local, loss(KL, "{kind: hidden_cosine, weight: 1.0}")]),
        variants.Variant("attention_kl", [local, loss(KL, "{kind: attention_kl, weight: 1.0}")]),
        variants.Variant("embeddings_trained", ["student.freeze=[]"]),
        variants.Variant("muon", ["train.optimizer={kind: muon, lr: 1.0e-3}"]),
    ], [variants.Variant("plain", [layers(EVEN), NO_FIT, rate(1e-3)])]


def write_recipe(args, length):
    """And the cache that it reads."""
    steps = args.tokens // length
    recipe = args.work / f"recipe_{length}.yaml"
    recipe.write_text(RECIPE.format(model=args.model, chosen=CHOSEN, train=variants.train_files(args), length=length,
                                    every=0, tokens=args.tokens, steps=steps, warmup=max(1, steps // 19),
                                    cache=args.cache / f"rows_{length}"))
    return recipe


def run(args, length, every):
    chosen = [variant for variant in every if not args.only or variant.name in args.only]
    if not chosen:
        return []
    recipe = write_recipe(args, length)
    for variant in chosen:
        how = variant.name.removeprefix("merged_")
        if how == variant.name or (args.work / variant.name).exists():
            continue
        part = args.work / f"{variant.name}.part"  # its name when it is whole
        merge_layers.write(args.model, CHOSEN, how, part)
        part.rename(args.work / variant.name)
    variants.call([args.build / "distill", "cache", recipe], os.environ)
    return variants.run_all(args, recipe, chosen)


def main():
    parser = variants.add_arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--tokens", type=int, default=196608, help="of each run")
    parser.add_argument("--cache", type=variants.pathlib.Path, help="folder for what the teacher says; in --work")
    args = parser.parse_args()
    args.cache = args.cache or args.work / "teacher"
    args.work.mkdir(parents=True, exist_ok=True)
    short, long = all_variants(args)
    variants.require_known(args, short + long)
    variants.print_table(run(args, 512, long) + run(args, 256, short))
    known = {variant.name for variant in short}
    results = variants.read_results(args.work / "results.jsonl")
    variants.print_differences([result for result in results if result["variant"] in known], "base")


if __name__ == "__main__":
    main()
