#!/usr/bin/env python3
"""A teacher in another process on this machine beside the same teacher in the student's own.

    tests/bench/process_versus_local.py --train FILE.jsonl [--steps 16] [--threads 1 2] [--address HOST:PORT]

Trains the same short run with `kind: local`, then with `distill teacher` over shared memory, and over
c10d where an address of this machine is given. Threads are those of each process. Says how fast each
run was (the median step but the first three), what the student's process took at most, what it waited
for its teacher, whether the weights are those of the local run of as many threads, and what both said
of the bytes. Needs nothing but the built programs."""

import argparse
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import short_run


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    short_run.add_arguments(parser)
    parser.set_defaults(steps=16, rows=4, eval=pathlib.Path())
    for action in parser._actions:
        action.required = action.dest == "train"
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--address", help="127.0.0.1:29500: over c10d too")
    return parser.parse_args()


def train(args, work, name, teacher, threads):
    recipe = short_run.write_recipe(args, work, name, teacher)
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    done = subprocess.run([args.build / "distill_train", recipe, "--restart"], capture_output=True,
                          text=True, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    lines = [json.loads(line) for line in (work / name / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "event" not in line]
    seconds = statistics.median([b["seconds"] - a["seconds"] for a, b in zip(steps, steps[1:])][2:])
    tokens = statistics.mean(b["tokens"] - a["tokens"] for a, b in zip(steps, steps[1:]))
    report = json.loads((work / name / "report.json").read_text())
    weights = hashlib.sha256((work / name / "final/model.safetensors").read_bytes()).hexdigest()
    waited = statistics.median(step["teacher_seconds"] for step in steps[3:])
    print(f"{name:12} {threads:7} {tokens / seconds:9.0f} {report['peak_memory_bytes'] / 2**20:10.1f} "
          f"{waited / seconds * 100:8.1f} % ", end="", flush=True)
    return weights, [line for line in done.stderr.splitlines() if "times as much" in line]


def serve(args, place, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    return subprocess.Popen([args.build / "distill", "teacher", "--model", args.model, "--dtype", "bf16",
                             "--device", "cpu", *place], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or pathlib.Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        print(f"{'teacher':12} {'threads':>7} {'tokens/s':>9} {'peak, MiB':>10} {'waited':>10}")
        said = []
        for threads in args.threads:
            alone, _ = train(args, work, f"local_{threads}", f"{{kind: local, model: {args.model}}}",
                             threads)
            print()
            places = [("shared", f"bench-{os.getpid()}", "--shared")]
            if args.address:
                places.append(("address", args.address, "--listen"))
            for key, value, option in places:
                teacher = serve(args, [option, value], threads)
                weights, lines = train(args, work, f"{key}_{threads}",
                                       f'{{kind: process, {key}: "{value}"}}', threads)
                print("the local teacher's weights" if weights == alone else "OTHER WEIGHTS")
                said = lines + [teacher.communicate()[0].strip()]
        print("\n".join(said))


if __name__ == "__main__":
    main()
