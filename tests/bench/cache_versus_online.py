#!/usr/bin/env python3
"""Training from a cache beside training with the online teacher, at equal tokens.

    tests/bench/cache_versus_online.py --train FILE.jsonl --eval FILE.jsonl [--steps 280]

A student of 12 layers of the teacher, forward KL, as in configs/quickstart.yaml; the same rows in the
same order. Captures the teacher once for each form and says how many bytes a position takes; trains
online and from each cache; measures each student on held-out text against the teacher itself with
`distill eval`. Steps are timed by what metrics.jsonl says: the median over all steps but the first
three, and how long the step waited for its batches, of which reading the cache is a part.
Needs nothing but the built programs."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

RECIPE = """name: {name}
output: {output}
seed: {seed}
precision: bf16
device: cpu
student:
  init: {{from: teacher, keep_layers: {layers}}}
  freeze: [model.embed_tokens.weight]
teacher: {teacher}
data:
  train: [{{path: {train}}}]
  sequence_length: {length}
loss:
  - {{kind: forward_kl, temperature: 1.0}}
train:
  steps: {steps}
  batch_size: {rows}
  micro_batch_size: 1
  optimizer: {{kind: adamw, lr: 2.0e-3, betas: [0.9, 0.95]}}
  schedule: {{kind: cosine, warmup_steps: {warmup}, min_lr_ratio: 0.1}}
checkpoint: {{every: 0}}
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--eval", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--forms", nargs="+", default=["top_k", "sampled"])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rows", type=int, default=1, help="of a step")
    parser.add_argument("--steps", type=int, default=280)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--eval-rows", type=int, default=40)
    parser.add_argument("--work", type=pathlib.Path, help="folder for runs and caches; kept")
    return parser.parse_args()


def call(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
    return result.stdout


def write_recipe(args, work, name, teacher):
    path = work / f"{name}.yaml"
    path.write_text(RECIPE.format(name=name, output=work / name, seed=args.seed, layers=args.layers,
                                  teacher=teacher, train=args.train, length=args.length,
                                  steps=args.steps, rows=args.rows,
                                  warmup=max(1, args.steps // 7)))
    return path


def step_times(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "event" not in line]
    ends = [line["seconds"] for line in steps]
    seconds = [b - a for a, b in zip(ends, ends[1:])][2:]
    return statistics.median(seconds), statistics.median(s["data_seconds"] for s in steps[3:])


def measure(args, work, name, teacher):
    recipe = write_recipe(args, work, name, teacher)
    call(args.build / "distill_train", recipe, "--restart")
    result = json.loads(call(args.build / "distill", "eval", "--model", work / name / "final",
                             "--teacher", args.model, "--data", args.eval, "--sequence-length",
                             args.length, "--max-rows", args.eval_rows, "--device", "cpu",
                             "--json"))
    return result, *step_times(work / name)


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or pathlib.Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        runs = {"online": f"{{kind: local, model: {args.model}}}"}
        for form in args.forms:
            teacher = (f"{{kind: cache, path: {work / ('cache_' + form)}, form: {form}, "
                       f"model: {args.model}}}")
            made = json.loads(call(args.build / "distill", "cache",
                                   write_recipe(args, work, form, teacher), "--json"))
            print(f"{form}: {made['bytes_a_position']:.1f} bytes a position, "
                  f"{made['positions']:,} positions, {made['segments']:,} segments", flush=True)
            runs[form] = teacher
        print(f"{'teacher':10} {'held-out KL':>12} {'of online':>10} {'top-1':>7} {'s a step':>9} "
              f"{'faster':>7} {'waited':>8}")
        first = None
        for name, teacher in runs.items():
            result, seconds, waited = measure(args, work, name, teacher)
            kl = result["kl_to_teacher"]
            first = first or (kl, seconds)
            print(f"{name:10} {kl:12.4f} {100 * kl / first[0]:8.1f} % "
                  f"{100 * result['top1_agreement']:5.1f} % {seconds:9.3f} {first[1] / seconds:6.2f}x "
                  f"{waited:8.4f}", flush=True)


if __name__ == "__main__":
    main()
