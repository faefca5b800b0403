#!/usr/bin/env python3
"""What two LoRA runs on one base take of the machine's memory, while both train.

    tests/bench/shared_base.py DISTILL_TRAIN RECIPE.yaml [KEY=VALUE ...]

Starts RECIPE twice at once, in folders of their own (`output` is set here), looks at
/proc/PID/smaps when both have made some steps, and ends them. For each run: what of the base's
weight files is resident, shared with the other run, and written to by this one alone; and the
memory of the whole process, shared pages counted in full (Rss) and by halves (Pss).
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

STEPS = 3
FIELDS = ("Rss", "Pss", "Shared_Clean", "Private_Clean", "Private_Dirty")


def memory_of(pid, wanted):
    """Sums of FIELDS in MiB over the mappings that `wanted` takes by name."""
    sums, taken = dict.fromkeys(FIELDS, 0), False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            taken = wanted(words[5] if len(words) > 5 else "")
        elif taken and words[0][:-1] in FIELDS:
            sums[words[0][:-1]] += int(words[1]) / 1024
    return sums


def steps_done(folder):
    try:
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
    except FileNotFoundError:
        return 0
    return max((row.get("step", 0) for row in rows if "loss" in row), default=0)


def show(name, sums):
    print(f"{name:<34}" + "  ".join(f"{field} {value:8.1f}" for field, value in sums.items()))


def main():
    train, recipe, *overrides = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="shared_base_") as folder:
        outputs = [pathlib.Path(folder) / name for name in ("a", "b")]
        runs = [subprocess.Popen([train, recipe, f"output={output}", *overrides], stdout=subprocess.DEVNULL,
                                 stderr=open(f"{output}.log", "w")) for output in outputs]
        try:
            while min(map(steps_done, outputs)) < STEPS:
                if any(run.poll() is not None for run in runs):
                    sys.exit("a run ended too early:\n" + "".join(pathlib.Path(f"{o}.log").read_text() for o in outputs))
                time.sleep(0.5)
            for run, output in zip(runs, outputs):
                show(f"run {output.name}: the base's files, MiB", memory_of(run.pid, lambda name: name.endswith(".safetensors")))
            for run, output in zip(runs, outputs):
                show(f"run {output.name}: all, MiB", memory_of(run.pid, lambda name: True))
        finally:
            for run in runs:
                run.kill()
                run.wait()


if __name__ == "__main__":
    main()
