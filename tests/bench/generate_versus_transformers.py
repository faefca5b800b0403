#!/usr/bin/env python3
"""Greedy generation by `distill generate` beside transformers' generate, tokens per second.

    tests/bench/generate_versus_transformers.py --model DIR [--batch 1 32] [--tokens 64]

The same chat prompts for both, bf16, a key/value cache, no end before --tokens; prompts are part of
the time, loading the model is not. Rounds alternate, medians are compared."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/distill")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def conversations(count):
    return [[{"role": "user", "content": f"Tell me a long story about the number {i} and a river."}]
            for i in range(count)]


def ours(args, chats):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for chat in chats:
            file.write(json.dumps({"messages": chat}) + "\n")
        file.flush()
        result = subprocess.run(
            [args.program, "generate", "--model", args.model, "--chat", file.name, "--json",
             "--max-new-tokens", str(args.tokens), "--batch-size", str(len(chats))],
            check=True, capture_output=True, text=True)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    tokens = sum(len(answer["ids"]) for answer in answers)
    seconds = max(len(answer["ids"]) / answer["tokens_per_second"] for answer in answers)
    return tokens / seconds


def peer(args, model, tokenizer, chats):
    texts = [tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True)
             for c in chats]
    start = time.perf_counter()
    inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
    model.generate(**inputs, max_new_tokens=args.tokens, min_new_tokens=args.tokens,
                   do_sample=False)
    return len(chats) * args.tokens / (time.perf_counter() - start)


@torch.no_grad()
def main():
    args = arguments()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).eval()
    print(f"{'batch':>5}  {'distill':>8}  {'transformers':>12}  {'ratio':>6}")
    for batch in args.batch:
        chats = conversations(batch)
        speeds = [(ours(args, chats), peer(args, model, tokenizer, chats))
                  for _ in range(args.rounds)]
        own, other = (statistics.median(s[i] for s in speeds) for i in (0, 1))
        print(f"{batch:>5}  {own:>8.1f}  {other:>12.1f}  {own / other:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
