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
import tempfile

import short_run


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    short_run.add_arguments(parser)
    parser.add_argument("--forms", nargs="+", default=["top_k", "sampled"])
    return parser.parse_args()


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or pathlib.Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        runs = {"online": f"{{kind: local, model: {args.model}}}"}
        for form in args.forms:
            teacher = (f"{{kind: cache, path: {work / ('cache_' + form)}, form: {form}, "
                       f"model: {args.model}}}")
            recipe = short_run.write_recipe(args, work, form, teacher)
            made = json.loads(short_run.call(args.build / "distill", "cache", recipe,
                                             "--json").stdout)
            print(f"{form}: {made['bytes_a_position']:.1f} bytes a position, "
                  f"{made['positions']:,} positions, {made['segments']:,} segments", flush=True)
            runs[form] = teacher
        print(f"{'teacher':10} {'held-out KL':>12} {'of online':>10} {'top-1':>7} {'s a step':>9} "
              f"{'faster':>7} {'waited':>8}")
        first = None
        for name, teacher in runs.items():
            result = short_run.train_and_measure(args, work, name, teacher)
            first = first or result
            print(f"{name:10} {result.kl:12.4f} {100 * result.kl / first.kl:8.1f} % "
                  f"{100 * result.top1:5.1f} % {result.step_seconds:9.3f} "
                  f"{first.step_seconds / result.step_seconds:6.2f}x {result.data_seconds:8.4f}",
                  flush=True)


if __name__ == "__main__":
    main()
