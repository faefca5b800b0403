#!/usr/bin/env python3
"""A chain of students against one made directly, on a real model.

    tests/bench/progressive_versus_direct.py --train FILE.jsonl... --eval FILE.jsonl --work FOLDER [--steps 384]

30 -> 18 -> 8 layers of SmolLM2-135M-Instruct, each stage of --steps rows, against 30 -> 8 with as many rows for the
student of 8 layers (`direct`: equal student tokens) and with twice as many (`direct_twice`: equal tokens in all).
`chain_big_teacher` takes its layers from the 18-layer student too, and is taught by the 30 layers. All of a seed is one
pipeline; every student is measured against the 30 layers. Needs nothing but the built programs."""

import argparse
import json
import os

import variants

RECIPE = variants.TRAINING + """name: progressive
output: runs/progressive
student:
  init: {{from: teacher, fit: {{tokens: {tokens}}}}}
  freeze: [model.embed_tokens.weight]
teacher: {{kind: local, model: {model}}}
stages:
  - name: assistant
    student: {{init: {{keep_layers: {of_18}}}}}
  - name: chain
    student: {{init: {{keep_layers: {of_assistant}}}}}
    teacher: {{model: "${{stages.assistant.output}}"}}
  - name: chain_big_teacher
    student: {{init: {{from: model, keep_layers: {of_assistant}}}, model: "${{stages.assistant.output}}"}}
  - name: direct
    student: {{init: {{keep_layers: {of_8}}}}}
  - name: direct_twice
    student: {{init: {{keep_layers: {of_8}}}}}
    train: {{steps: {twice}, schedule: {{warmup_steps: {twice_warmup}}}}}
"""
# Those with the least costs by the gaps that `distill layers` measures; all of the 8 are among the 18, so that every
# small student begins with the same ones.
OF_18 = [0, 1, 2, 8, 9, 10, 11, 16, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29]
OF_8 = [0, 2, 8, 11, 16, 21, 26, 29]
STAGES = ["assistant", "chain", "chain_big_teacher", "direct", "direct_twice"]


def run(args, recipe, seed, done):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    folder = args.work / f"seed_{seed}"
    variants.call([args.build / "distill_train", recipe, f"output={folder}", f"seed={seed}"], environment)
    for stage in STAGES:
        if (stage, seed) in done:
            continue
        measured = variants.measure(args, folder / "stages" / stage / "final", environment)
        report = json.loads((folder / "stages" / stage / "report.json").read_text())
        yield {"variant": stage, "seed": seed, "tokens": report["tokens"], "seconds": report["seconds"],
               **{key: measured[key] for key in ("perplexity", "kl_to_teacher", "top1_agreement")}}


def main():
    parser = variants.add_arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--steps", type=int, default=384, help="of each stage; a row of 256 tokens each")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    recipe = args.work / "recipe.yaml"
    warmup = max(1, args.steps // 16)
    recipe.write_text(RECIPE.format(model=args.model, train=variants.train_files(args), length=256, every=200,
                                    steps=args.steps, warmup=warmup, tokens=256 * args.steps, of_18=OF_18,
                                    of_8=OF_8, of_assistant=[OF_18.index(layer) for layer in OF_8],
                                    twice=2 * args.steps, twice_warmup=2 * warmup))
    path = args.work / "results.jsonl"

    def of_seed(seed):
        done = {(result["variant"], result["seed"]) for result in variants.read_results(path)}
        if all((stage, seed) in done for stage in STAGES):
            return
        for result in run(args, recipe, seed, done):
            with path.open("a") as out:
                out.write(json.dumps(result) + "\n")

    variants.for_all(args.jobs, of_seed, args.seeds)
    variants.print_table(variants.read_results(path))


if __name__ == "__main__":
    main()
