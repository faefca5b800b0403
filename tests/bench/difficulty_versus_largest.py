#!/usr/bin/env python3
"""Several teachers by difficulty beside the largest one alone, at equal tokens.

    tests/bench/difficulty_versus_largest.py --small MODEL --train FILE.jsonl --eval FILE.jsonl
        [--layers 6] [--steps 280] [--margins 0.0 0.5]

The same student four times: taught by --model alone, by --small alone, and by
`{kind: several, by: difficulty}` of both with each margin. Says how fast each run was (the mean over
its steps: who speaks of a segment changes as the student learns), how many tokens each teacher
answered for, and how good the student is on held-out text. Needs nothing but the built programs."""

import argparse
import pathlib
import tempfile

import short_run


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    short_run.add_arguments(parser)
    parser.set_defaults(layers=6)
    parser.add_argument("--small", type=pathlib.Path, required=True, help="a cheaper teacher")
    parser.add_argument("--margins", nargs="+", type=float, default=[0.0, 0.5])
    return parser.parse_args()


def main():
    args = arguments()
    runs = {"largest": f"{{kind: local, model: {args.model}}}",
            "smallest": f"{{kind: local, model: {args.small}}}"}
    for margin in args.margins:
        runs[f"margin_{margin}"] = (
            f"{{kind: several, by: difficulty, margin: {margin}, teachers: ["
            f"{{name: small, model: {args.small}}}, {{name: large, model: {args.model}}}]}}")
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or pathlib.Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        print(f"{'teacher':12} {'perplexity':>11} {'KL':>8} {'top-1':>7} {'tokens/s':>9} {'faster':>7} "
              f"{'CPU s':>7}")
        first = None
        for name, teacher in runs.items():
            result = short_run.train_and_measure(args, work, name, teacher)
            first = first or result
            speed = args.length * args.rows / result.mean_step_seconds
            print(f"{name:12} {result.perplexity:11.2f} {result.kl:8.4f} {100 * result.top1:5.1f} % "
                  f"{speed:9.0f} {first.mean_step_seconds / result.mean_step_seconds:6.2f}x "
                  f"{result.cpu_seconds:7.1f}",
                  flush=True)
            for line in result.summary.splitlines():
                if "answered for" in line:
                    print(f"    {line.strip()}", flush=True)


if __name__ == "__main__":
    main()
