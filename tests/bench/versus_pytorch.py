#!/usr/bin/env python3
"""Trains the same student twice, with distill_train and with plain PyTorch, and compares.

    tests/bench/versus_pytorch.py --train FILE.jsonl... --eval FILE.jsonl --steps 384 --rounds 1

The student keeps 12 evenly spaced layers of the teacher, its embedding is frozen; forward KL at
T = 1, AdamW with 20 warm-up steps and a cosine, one row a step. Both programs see the same files,
the same number of tokens and two figures: tokens per second of the training loop, and perplexity,
KL and agreement of the student, measured for both by the same code here. Rounds alternate, because
a machine's speed drifts. Needs torch, transformers and safetensors (scripts/setup --all)."""

import argparse
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--train", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--eval", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/distill_train")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--row", type=int, default=512, help="tokens of a row")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    return parser.parse_args()


def rows_of(tokenizer, files, length):
    ids = []
    for file in files:
        for line in file.open():
            ids += tokenizer(json.loads(line)["text"])["input_ids"] + [tokenizer.eos_token_id]
    return [ids[i:i + length] for i in range(0, len(ids) - length, length)]


def kept_layers(count, of):
    return [round(i * (of - 1) / (count - 1)) for i in range(count)]


def recipe(args, folder):
    train = ", ".join(f"{{path: {path}}}" for path in args.train)
    return f"""
name: versus
output: {folder / "run"}
precision: bf16
student:
  init: {{from: teacher, keep_layers: {args.layers}}}
  freeze: [model.embed_tokens.weight]
teacher: {{kind: local, model: {args.model}}}
data: {{train: [{train}], sequence_length: {args.row}}}
loss: [{{kind: forward_kl, temperature: 1.0}}]
train:
  steps: {args.steps}
  batch_size: 1
  optimizer: {{kind: adamw, lr: {args.lr}, betas: [0.9, 0.95]}}
  schedule: {{kind: cosine, warmup_steps: 20, min_lr_ratio: 0.1}}
checkpoint: {{every: 0}}
"""


def ours(args):
    """Folder of the student it made, and the run's report."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="versus_"))
    (folder / "recipe.yaml").write_text(recipe(args, folder))
    subprocess.run([args.program, folder / "recipe.yaml"], check=True, stdout=subprocess.DEVNULL)
    report = json.loads((folder / "run/report.json").read_text())
    return folder / "run/final", report


def new_student(args):
    student = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    layers = student.model.layers
    kept = [layers[i] for i in kept_layers(args.layers, len(layers))]
    for index, layer in enumerate(kept):
        layer.self_attn.layer_idx = index
    student.model.layers = torch.nn.ModuleList(kept)
    student.config.num_hidden_layers = args.layers
    student.model.embed_tokens.weight.requires_grad_(False)
    return student


def peer(args, teacher, rows):
    """The usual loop; student and tokens per second."""
    student = new_student(args)
    parameters = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, betas=(0.9, 0.95), weight_decay=0.0)
    start = time.perf_counter()
    for step in range(args.steps):
        warm = min(1.0, (step + 1) / 20)
        done = max(0.0, (step - 20) / max(1, args.steps - 20))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))
        ids = torch.tensor([rows[step % len(rows)]])
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                teacher_log = F.log_softmax(teacher(ids).logits[0, :-1].float(), -1)
            student_log = F.log_softmax(student(ids).logits[0, :-1].float(), -1)
        loss = (teacher_log.exp() * (teacher_log - student_log)).sum(-1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return student, args.steps * args.row / (time.perf_counter() - start)


@torch.no_grad()
def measure(student, teacher, rows):
    count = 0
    sums = torch.zeros(4, dtype=torch.double)
    for row in rows:
        ids = torch.tensor([row])
        labels = ids[0, 1:, None]
        with torch.autocast("cpu", torch.bfloat16):
            p = F.log_softmax(teacher(ids).logits[0, :-1].float(), -1)
            s = F.log_softmax(student(ids).logits[0, :-1].float(), -1)
        sums += torch.tensor([-s.gather(1, labels).sum(), -p.gather(1, labels).sum(),
                              (p.exp() * (p - s)).sum(), (p.argmax(1) == s.argmax(1)).sum()])
        count += len(labels)
    nll, teacher_nll, kl, agreed = (sums / count).tolist()
    return {"perplexity": math.exp(nll), "teacher": math.exp(teacher_nll), "kl": kl,
            "agreement": agreed}


def main():
    args = arguments()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    teacher = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).eval()
    rows = rows_of(tokenizer, args.train, args.row)
    random.Random(1).shuffle(rows)
    eval_rows = rows_of(tokenizer, [args.eval], 512)[:32]
    print(f"{args.steps} steps of {args.row} tokens, {len(rows)} rows of text, "
          f"{torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    print(f"{'round':>5}  {'program':<13}  {'tokens/s':>8}  {'perplexity':>10}  {'teacher':>7}  "
          f"{'KL':>6}  {'agreement':>9}", flush=True)
    speeds = {"distill_train": [], "PyTorch": []}
    for turn in range(args.rounds):
        for program in speeds:
            if program == "PyTorch":
                student, speed = peer(args, teacher, rows)
            else:
                folder, report = ours(args)
                student = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
                speed = report["tokens_per_second"]
            result = measure(student.eval(), teacher, eval_rows)
            speeds[program].append(speed)
            print(f"{turn + 1:>5}  {program:<13}  {speed:>8.1f}  {result['perplexity']:>10.2f}  "
                  f"{result['teacher']:>7.2f}  {result['kl']:>6.3f}  {result['agreement']:>9.1%}",
                  flush=True)
    median = {name: sorted(values)[len(values) // 2] for name, values in speeds.items()}
    print(f"distill_train / PyTorch, medians: {median['distill_train'] / median['PyTorch']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
