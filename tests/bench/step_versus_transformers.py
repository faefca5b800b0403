#!/usr/bin/env python3
"""Speed and memory of a distillation step, distill_train beside transformers doing the same.

    tests/bench/step_versus_transformers.py --model DIR --train FILE.jsonl [--precision fp32]

A teacher of all layers, a student of 12, forward KL at T = 3, AdamW, rows of 512 tokens, 4 a step.
The peer is transformers with torch (bf16: autocast over fp32 weights of the student, a bf16
teacher). Also: the teacher's forward pass alone, and the matrix products of one step by torch.mm,
which is the limit for both. Each measurement is a process of its own, rounds alternate, medians are
compared; only the ratios mean something on another machine. Needs torch and transformers."""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=["peer", "peer_forward", "products"])
    return parser.parse_args()


def median_seconds(count, body):
    body()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        body()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def random_ids(torch, args, vocabulary):
    return torch.randint(vocabulary, (args.rows, args.length),
                         generator=torch.Generator().manual_seed(1))


def load(args, dtype):
    import transformers
    return transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype)


def peer(args):
    import torch
    import torch.nn.functional as F
    bf16 = args.precision == "bf16"
    teacher = load(args, torch.bfloat16 if bf16 else torch.float32).eval()
    student = load(args, torch.float32)
    layers = student.model.layers
    kept = [layers[round(i * (len(layers) - 1) / (args.layers - 1))] for i in range(args.layers)]
    for index, layer in enumerate(kept):
        layer.self_attn.layer_idx = index
    student.model.layers = torch.nn.ModuleList(kept)
    student.config.num_hidden_layers = args.layers
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-4, weight_decay=0.0)
    ids = random_ids(torch, args, student.config.vocab_size)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            with torch.no_grad():
                teacher_log = F.log_softmax(teacher(ids).logits[:, :-1].float() / 3, -1)
            student_log = F.log_softmax(student(ids).logits[:, :-1].float() / 3, -1)
        loss = 9 * (teacher_log.exp() * (teacher_log - student_log)).sum(-1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    seconds = median_seconds(args.steps, step)
    return {"tokens_per_second": ids.numel() / seconds, "peak_bytes": peak_bytes()}


def peer_forward(args):
    import torch
    model = load(args, torch.bfloat16 if args.precision == "bf16" else torch.float32).eval()
    ids = random_ids(torch, args, model.config.vocab_size)
    with torch.no_grad():
        hidden = median_seconds(args.steps, lambda: model.model(ids))
        logits = median_seconds(args.steps, lambda: model(ids))
    return {"hidden_tokens_per_second": ids.numel() / hidden,
            "logits_tokens_per_second": ids.numel() / logits}


def products(args):
    """Seconds of every product with a weight in one step, and in the teacher's forward pass."""
    import torch
    config = json.loads((args.model / "config.json").read_text())
    dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    shapes = [(hidden, heads * head_dim), (hidden, kv_heads * head_dim),
              (hidden, kv_heads * head_dim), (heads * head_dim, hidden), (hidden, inner),
              (hidden, inner), (inner, hidden)]
    tokens = args.rows * args.length

    def three(n_in, n_out):
        x, w = torch.randn(tokens, n_in, dtype=dtype), torch.randn(n_out, n_in, dtype=dtype)
        g = torch.randn(tokens, n_out, dtype=dtype)
        return [median_seconds(5, body) for body in
                (lambda: x @ w.t(), lambda: g @ w, lambda: g.t() @ x)]

    times = [three(*shape) for shape in shapes]
    forward, both = sum(t[0] for t in times), sum(sum(t) for t in times)
    head = three(hidden, config["vocab_size"])
    teacher = config["num_hidden_layers"] * forward
    step = teacher + args.layers * both + head[0] + sum(head)
    return {"step_tokens_per_second": tokens / step, "forward_tokens_per_second": tokens / teacher}


RECIPE = """
name: step
output: {folder}/run
precision: {precision}
student: {{init: {{from: teacher, keep_layers: {layers}}}}}
teacher: {{kind: local, model: {model}}}
data: {{train: [{{path: {train}}}], sequence_length: {length}}}
loss: [{{kind: forward_kl, temperature: 3.0}}]
train:
  steps: {steps}
  batch_size: {rows}
  micro_batch_size: {rows}
  optimizer: {{kind: adamw, lr: 1.0e-4}}
checkpoint: {{every: 0}}
"""


def ours(args):
    with tempfile.TemporaryDirectory(prefix="step_") as folder:
        recipe = pathlib.Path(folder) / "recipe.yaml"
        recipe.write_text(RECIPE.format(**vars(args) | {
            "folder": folder, "model": args.model.resolve(), "train": args.train.resolve(),
            "steps": args.steps + 1}))
        subprocess.run([args.build / "distill_train", recipe], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(f"{folder}/run/metrics.jsonl")]
        report = json.loads(pathlib.Path(f"{folder}/run/report.json").read_text())
    speeds = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
    return {"tokens_per_second": statistics.median(speeds[1:]),
            "peak_bytes": report["peak_memory_bytes"]}


def ours_forward(args):
    command = [args.build / "tests/bench/forward_bench", args.model, "--dtype", args.precision,
               "--rows", str(args.rows), "--length", str(args.length)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def in_process(name):
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", name]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main():
    args = arguments()
    if args.measure:
        print(json.dumps({"peer": peer, "peer_forward": peer_forward,
                          "products": products}[args.measure](args)))
        return
    measures = {"products": lambda: in_process("products"), "ours": lambda: ours(args),
                "peer": lambda: in_process("peer"), "ours_forward": lambda: ours_forward(args),
                "peer_forward": lambda: in_process("peer_forward")}
    rounds = []
    for turn in range(args.rounds):
        rounds.append({name: measure() for name, measure in measures.items()})
        print(f"round {turn + 1}: {json.dumps(rounds[-1])}", file=sys.stderr, flush=True)

    def of(name, key):
        return statistics.median(r[name][key] for r in rounds)

    step, forward = of("ours", "tokens_per_second"), of("ours_forward", "hidden_tokens_per_second")
    print(f"{args.precision}, {args.rows} x {args.length} tokens, {args.rounds} rounds, medians")
    print(f"{'':<22}  {'distill':>9}  {'transformers':>12}  {'ratio':>6}  {'products alone':>14}  "
          f"{'share':>6}")
    for name, own, other, limit in (
            ("step, tokens/s", step, of("peer", "tokens_per_second"),
             of("products", "step_tokens_per_second")),
            ("teacher, tokens/s", forward, of("peer_forward", "hidden_tokens_per_second"),
             of("products", "forward_tokens_per_second")),
            ("with logits, tokens/s", of("ours_forward", "logits_tokens_per_second"),
             of("peer_forward", "logits_tokens_per_second"), None)):
        end = f"{limit:>14.0f}  {own / limit:>6.0%}" if limit else ""
        print(f"{name:<22}  {own:>9.0f}  {other:>12.0f}  {own / other:>6.2f}  {end}")
    own, other = of("ours", "peak_bytes") / 2**20, of("peer", "peak_bytes") / 2**20
    print(f"{'peak of a step, MiB':<22}  {own:>9.0f}  {other:>12.0f}  {own / other:>6.2f}")


if __name__ == "__main__":
    main()
