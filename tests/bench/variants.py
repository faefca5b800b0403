"""Many training runs that differ by a few keys of one recipe, several at a time, each measured on held-out text."""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


# How all experiments train, with {train} (files), {length} (tokens of a row), {steps}, {warmup} and {every}.
TRAINING = """precision: bf16
device: cpu
data:
  train: {train}
  sequence_length: {length}
loss:
  - {{kind: forward_kl, temperature: 1.0}}
train:
  steps: {steps}
  batch_size: 1
  micro_batch_size: 1
  optimizer: {{kind: adamw, lr: 5.0e-4, betas: [0.9, 0.95]}}
  schedule: {{kind: cosine, warmup_steps: {warmup}, min_lr_ratio: 0.1}}
checkpoint: {{every: {every}}}
"""


METRICS = ("perplexity", "kl_to_teacher", "top1_agreement")


@dataclasses.dataclass
class Variant:
    name: str
    overrides: list  # of the recipe, as distill_train takes them


def add_arguments(parser):
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--train", type=pathlib.Path, nargs="+", required=True, help="JSONL files")
    parser.add_argument("--eval", type=pathlib.Path, required=True, help="JSONL file")
    parser.add_argument("--eval-rows", type=int, default=32, help="of 512 tokens")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--only", nargs="+", help="names of variants; all others are left out")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time, a thread each")
    parser.add_argument("--work", type=pathlib.Path, required=True,
                        help="folder of the runs and of results.jsonl; what is in there is not done again")
    return parser


def train_files(args):
    return "[" + ", ".join(f"{{path: {path.resolve()}}}" for path in args.train) + "]"


def call(command, environment):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def measure(args, model, environment):
    return json.loads(call([args.build / "distill", "eval", "--model", model, "--teacher", args.model, "--data",
                            args.eval, "--sequence-length", 512, "--max-rows", args.eval_rows, "--dtype", "bf16",
                            "--device", "cpu", "--json"], environment))


def run(args, recipe, variant, seed):
    """Trains where no finished run is there, and measures the final model."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    folder = args.work / f"{variant.name}-{seed}"
    call([args.build / "distill_train", recipe, f"name={variant.name}", f"output={folder}", f"seed={seed}",
          *variant.overrides], environment)
    measured = measure(args, folder / "final", environment)
    report = json.loads((folder / "report.json").read_text())
    return {"variant": variant.name, "seed": seed, "tokens": report["tokens"], "seconds": report["seconds"],
            **{key: measured[key] for key in METRICS}}


def read_results(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def require_known(args, variants):
    """Ends the program for a name in --only that no variant has."""
    missing = sorted(set(args.only or []) - {variant.name for variant in variants})
    if missing:
        sys.exit(f"no variant is called {', '.join(missing)}; there are {', '.join(v.name for v in variants)}")


def run_all(args, recipe, variants):
    """Results of all variants and seeds, those of earlier calls included."""
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / "results.jsonl"
    done = {(result["variant"], result["seed"]) for result in read_results(path)}
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool, path.open("a") as out:
        jobs = {pool.submit(run, args, recipe, variant, seed): (variant.name, seed)
                for seed in args.seeds for variant in variants if (variant.name, seed) not in done}
        for job in concurrent.futures.as_completed(jobs):
            try:
                result = job.result()
            except RuntimeError as error:
                print(f"{jobs[job]}: {error}", file=sys.stderr)
                continue
            out.write(json.dumps(result) + "\n")
            out.flush()
            print(f"{result['variant']} {result['seed']}: {result['perplexity']:.2f}", file=sys.stderr)
    names = [variant.name for variant in variants]
    return [result for result in read_results(path) if result["variant"] in names]


def for_all(jobs, action, items):
    """action(item) for each, `jobs` at a time; the first error ends it when the others are through."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(action, item) for item in items]:
            done.result()


def spread(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


def print_table(results):
    """Means and standard deviations over the seeds, the best first."""
    print("| variant | seeds | perplexity | KL to the teacher | top-1 | tokens | minutes |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    by_name = {}
    for result in results:
        by_name.setdefault(result["variant"], []).append(result)
    for name, rows in sorted(by_name.items(), key=lambda item: statistics.mean(r["perplexity"] for r in item[1])):
        column = {key: [row[key] for row in rows] for key in rows[0] if key != "variant"}
        print(f"| {name} | {len(rows)} | {statistics.mean(column['perplexity']):.1f} "
              f"± {spread(column['perplexity']):.1f} | {statistics.mean(column['kl_to_teacher']):.3f} "
              f"± {spread(column['kl_to_teacher']):.3f} | {statistics.mean(column['top1_agreement']):.1%} | "
              f"{rows[0]['tokens']:,} | {statistics.mean(column['seconds']) / 60:.1f} |")


def minus(results, base):
    """Results of the other variants, less those of `base` with the same seed; seeds without it are left out."""
    of_base = {result["seed"]: result for result in results if result["variant"] == base}
    return [{**result, **{key: result[key] - of_base[result["seed"]][key] for key in METRICS}} for result in results
            if result["variant"] != base and result["seed"] in of_base]


def print_differences(results, base):
    """Means and standard deviations, over the seeds, of what each variant has more than `base`; the best first."""
    by_name = {}
    for result in minus(results, base):
        by_name.setdefault(result["variant"], []).append(result)
    if not by_name:
        return
    print(f"\n| less `{base}` of the same seed | seeds | perplexity | KL to the teacher |")
    print("| --- | --- | --- | --- |")
    for name, rows in sorted(by_name.items(), key=lambda item: statistics.mean(r["kl_to_teacher"] for r in item[1])):
        perplexity, kl = ([row[key] for row in rows] for key in ("perplexity", "kl_to_teacher"))
        print(f"| {name} | {len(rows)} | {statistics.mean(perplexity):+.1f} ± {spread(perplexity):.1f} | "
              f"{statistics.mean(kl):+.3f} ± {spread(kl):.3f} |")
