#!/usr/bin/env python3
"""TensorBoard opens the event files of a run, also of one that was killed and resumed.

    tests/integration/check_tensorboard.py DISTILL_TRAIN

Trains the tiny Llama twice: straight, and killed with SIGKILL in the middle, cut inside a record and
resumed. Reads tensorboard/ as TensorBoard's own accumulator does: every step is there once, with
the values of metrics.jsonl. Exits with 77 (skipped) without tensorboard.
"""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

try:
    from tensorboard.backend.event_processing import event_accumulator
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/reference/tiny_llama"
RECIPE = """
name: tensorboard
output: {folder}/run
device: cpu
student: {{init: {{from: teacher, keep_layers: 2}}}}
teacher: {{kind: local, model: {model}}}
data: {{train: [{{path: {model}/train.jsonl}}], eval: [{{path: {model}/eval.jsonl}}], sequence_length: 64}}
loss: [{{kind: forward_kl, weight: 0.5}}, {{kind: cross_entropy, weight: 0.5}}]
train: {{steps: {steps}, batch_size: 2, optimizer: {{kind: adamw, lr: 0.003}}}}
checkpoint: {{every: 20}}
evaluate: {{every: 30}}
"""
STEPS = 200


def start(train, folder):
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(folder=folder, model=MODEL, steps=STEPS))
    return subprocess.Popen([train, recipe], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(train, folder):
    if start(train, folder).wait() != 0:
        sys.exit("distill_train failed")


def kill_in_the_middle(train, folder):
    """After some checkpoint; the steps behind it are repeated."""
    metrics = folder / "run/metrics.jsonl"
    process = start(train, folder)
    while process.poll() is None:
        if metrics.exists() and metrics.read_bytes().count(b'{"step"') > STEPS // 2:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.001)
    if process.returncode == 0:
        sys.exit("the run was over before it was killed: nothing was tested")
    events = sorted((folder / "run/tensorboard").iterdir())[-1]
    events.write_bytes(events.read_bytes()[:-9])  # as if the last write had been cut


def read_metrics(folder):
    """Tag -> {step: value}, as the sink names them."""
    expected = {}
    for line in (folder / "run/metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        prefix = {None: "train", "evaluation": "eval"}.get(row.get("event"))
        for name, value in row.items():
            if prefix and name not in ("event", "step", "energy_joules"):
                expected.setdefault(f"{prefix}/{name}", {})[row["step"]] = value
    return expected


def check(folder):
    reader = event_accumulator.EventAccumulator(
        str(folder / "run/tensorboard"), size_guidance={event_accumulator.SCALARS: 0})
    reader.Reload()
    for tag, expected in read_metrics(folder).items():
        found = [(event.step, event.value) for event in reader.Scalars(tag)]
        steps = [step for step, _ in found]
        if steps != sorted(expected):
            sys.exit(f"{tag}: steps {steps}, expected {sorted(expected)}")
        for step, value in found:
            if abs(value - expected[step]) > 1e-6 * max(1, abs(expected[step])):
                sys.exit(f"{tag}: {value} at step {step}, expected {expected[step]}")
    files = len(list((folder / "run/tensorboard").iterdir()))
    print(f"{files} files, {len(reader.Tags()['scalars'])} tags, steps {min(steps)} to {max(steps)}")
    return files


def main():
    train = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="tensorboard_") as name:
        folder = pathlib.Path(name)
        finish(train, folder)
        check(folder)
    with tempfile.TemporaryDirectory(prefix="tensorboard_") as name:
        folder = pathlib.Path(name)
        kill_in_the_middle(train, folder)
        finish(train, folder)
        if check(folder) != 2:
            sys.exit("expected two event files, one for each process")


if __name__ == "__main__":
    main()
