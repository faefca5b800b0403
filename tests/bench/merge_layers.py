#!/usr/bin/env python3
"""A model whose kept layers have the weights of the layers left out behind them merged into them.

    merge_layers.py --model FOLDER --keep 0 1 2 8 ... --how mean|differences --out FOLDER

All layers stay in the file, those left out as they were, so that `keep_layers` chooses from it as from the model.
`mean` averages each kept layer with those up to the next kept one; `differences` adds to it how each of them differs
from it (Yang et al. 2024, "LaCo: Large Language Model Pruning via Layer Collapse", section 2.2). Needs torch and
safetensors."""

import argparse
import pathlib
import re
import shutil

LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")


def merged(layers, how):
    """One tensor for those of a kept layer and of the ones behind it."""
    kept, *behind = [layer.double() for layer in layers]
    if how == "mean":
        return sum(behind, kept) / len(layers)
    return kept + sum((layer - kept for layer in behind), kept * 0)


def write(model, keep, how, out):
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    count = 1 + max(int(found[1]) for found in map(LAYER.fullmatch, weights) if found)
    result = dict(weights)
    for first, end in zip(keep, [*keep[1:], count]):
        for name in [name for name in weights if name.startswith(f"model.layers.{first}.")]:
            rest = LAYER.fullmatch(name)[2]
            layers = [weights[f"model.layers.{layer}.{rest}"] for layer in range(first, end)]
            result[name] = merged(layers, how).to(weights[name].dtype)
    out.mkdir(parents=True, exist_ok=True)
    for path in model.glob("*.json"):
        shutil.copy(path, out)
    save_file(result, out / "model.safetensors", metadata={"format": "pt"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--keep", type=int, nargs="+", required=True, help="layers, in order")
    parser.add_argument("--how", choices=["mean", "differences"], required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    write(args.model, args.keep, args.how, args.out)


if __name__ == "__main__":
    main()
