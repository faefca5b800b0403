"""Short training runs that differ in their teacher alone: the same student, rows and order."""

import dataclasses
import json
import pathlib
import resource
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

RECIPE = """name: {name}
output: {output}
seed: {seed}
precision: bf16
device: cpu
student:
  model: {model}
  init: {{from: model, keep_layers: {layers}}}
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


@dataclasses.dataclass
class Result:
    perplexity: float
    kl: float  # to --model, on held-out text
    top1: float
    step_seconds: float  # the median over all steps but the first three
    mean_step_seconds: float
    data_seconds: float  # what a step waited for its batches
    cpu_seconds: float  # of the whole training run, all threads
    summary: str  # what the run said


def add_arguments(parser):
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--eval", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rows", type=int, default=1, help="of a step")
    parser.add_argument("--steps", type=int, default=280)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--eval-rows", type=int, default=40)
    parser.add_argument("--work", type=pathlib.Path, help="folder for runs and caches; kept")


def call(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
    return result


def write_recipe(args, work, name, teacher, layers=None):
    path = work / f"{name}.yaml"
    path.write_text(RECIPE.format(name=name, output=work / name, seed=args.seed, model=args.model,
                                  layers=layers or args.layers, teacher=teacher, train=args.train,
                                  length=args.length, steps=args.steps, rows=args.rows,
                                  warmup=max(1, args.steps // 7)))
    return path


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train_and_measure(args, work, name, teacher, layers=None):
    recipe = write_recipe(args, work, name, teacher, layers)
    before = cpu_seconds()
    said = call(args.build / "distill_train", recipe, "--restart").stderr
    used = cpu_seconds() - before
    measured = json.loads(call(
        args.build / "distill", "eval", "--model", work / name / "final", "--teacher", args.model,
        "--data", args.eval, "--sequence-length", args.length, "--max-rows", args.eval_rows,
        "--device", "cpu", "--json").stdout)
    lines = [json.loads(line) for line in (work / name / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "event" not in line]
    seconds = [b["seconds"] - a["seconds"] for a, b in zip(steps, steps[1:])][2:]
    return Result(measured["perplexity"], measured["kl_to_teacher"], measured["top1_agreement"],
                  statistics.median(seconds), statistics.mean(seconds),
                  statistics.median(step["data_seconds"] for step in steps[3:]), used, said)
