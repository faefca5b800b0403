#!/usr/bin/env python3
"""Speed, memory and result of LoRA training, distill_train beside PEFT doing the same.

    tests/bench/lora_versus_peft.py --train FILE.jsonl --eval FILE.jsonl [--loss]

Rank 16 on every projection of the model, cross-entropy on rows of text, AdamW. The peer is PEFT with
transformers: a bf16 base, fp32 adapters, bf16 autocast. Also the step with a teacher beside the full
fine-tuning of the same student with it. Each measurement is a process of its own, rounds alternate,
medians are compared; only the ratios mean something on another machine.
--loss instead trains both on the same rows and measures both adapters with `distill eval`.
Needs torch, transformers and peft."""

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
RANK, ALPHA, LR = 16, 32, 5e-4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--train", type=pathlib.Path, required=True, help="JSONL with `text`")
    parser.add_argument("--eval", type=pathlib.Path, help="JSONL with `text`, for --loss")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--loss", action="store_true")
    parser.add_argument("--measure", choices=["peer"])
    parser.add_argument("--save", type=pathlib.Path)
    return parser.parse_args()


def batches(args, tokenizer):
    """Rows of `length` ids of all texts, one after the other with an end token, without shuffling."""
    import torch
    ids = []
    for line in open(args.train):
        ids += tokenizer(json.loads(line)["text"])["input_ids"] + [tokenizer.eos_token_id]
    size = args.rows * args.length
    count = len(ids) // size
    return torch.tensor(ids[:count * size]).view(count, args.rows, args.length)


def peer(args):
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16)
    torch.manual_seed(1)
    model = get_peft_model(model, LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=args.dropout, target_modules="all-linear",
        task_type="CAUSAL_LM")).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, betas=(0.9, 0.95), weight_decay=0.0)
    data = batches(args, tokenizer)
    times = []
    for step in range(args.steps + 1):
        start = time.perf_counter()
        ids = data[step % len(data)]
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
    if args.save:
        model.save_pretrained(args.save)
    return {"tokens_per_second": args.rows * args.length / statistics.median(times[1:]),
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


RECIPE = """
name: lora
output: {folder}/run
precision: bf16
student: {student}
teacher: {teacher}
data: {{train: [{{path: {train}}}], sequence_length: {length}}}
loss: [{loss}]
train:
  steps: {steps}
  batch_size: {rows}
  micro_batch_size: {rows}
  optimizer: {{kind: adamw, lr: {lr}, betas: [0.9, 0.95]}}
  schedule: {{kind: constant}}
checkpoint: {{every: 0}}
"""


def ours(args, lora=True, teacher=False, keep=None):
    model = args.model.resolve()
    adapter = f", lora: {{rank: {RANK}, alpha: {ALPHA}, dropout: {args.dropout}}}"
    values = {"student": f"{{model: {model}{adapter if lora else ''}}}",
              "teacher": f"{{kind: local, model: {model}}}" if teacher else "{kind: none}",
              "loss": "{kind: forward_kl, temperature: 3.0}" if teacher else "{kind: cross_entropy}"}
    with tempfile.TemporaryDirectory(prefix="lora_") as folder:
        recipe = pathlib.Path(folder) / "recipe.yaml"
        recipe.write_text(RECIPE.format(folder=folder, train=args.train.resolve(), length=args.length,
                                        steps=args.steps + 1, rows=args.rows, lr=LR, **values))
        subprocess.run([args.build / "distill_train", recipe], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(f"{folder}/run/metrics.jsonl")]
        report = json.loads(pathlib.Path(f"{folder}/run/report.json").read_text())
        if keep:
            pathlib.Path(f"{folder}/run/final").rename(keep)
    speeds = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
    return {"tokens_per_second": statistics.median(speeds[1:]),
            "peak_bytes": report["peak_memory_bytes"]}


def peer_in_process(args, *more):
    command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--measure", "peer", *more]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def compare_loss(args):
    with tempfile.TemporaryDirectory(prefix="lora_loss_") as folder:
        ours(args, keep=f"{folder}/ours")
        peer_in_process(args, "--save", f"{folder}/peer")
        for name, adapter in (("base", []), ("distill", ["--adapter", f"{folder}/ours"]),
                              ("PEFT", ["--adapter", f"{folder}/peer"])):
            command = [args.build / "distill", "eval", "--model", args.model, *adapter, "--data",
                       args.eval, "--max-rows", "60", "--json"]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(f"{name:<8}  perplexity {json.loads(output)['perplexity']:.3f}")


def main():
    args = arguments()
    if args.measure:
        print(json.dumps(peer(args)))
        return
    if args.loss:
        compare_loss(args)
        return
    measures = {"lora": lambda: ours(args), "peer": lambda: peer_in_process(args),
                "full": lambda: ours(args, lora=False),
                "lora_teacher": lambda: ours(args, teacher=True),
                "full_teacher": lambda: ours(args, lora=False, teacher=True)}
    rounds = []
    for turn in range(args.rounds):
        rounds.append({name: measure() for name, measure in measures.items()})
        print(f"round {turn + 1}: {json.dumps(rounds[-1])}", file=sys.stderr, flush=True)

    def of(name, key):
        return statistics.median(r[name][key] for r in rounds)

    print(f"bf16, {args.rows} x {args.length} tokens, rank {RANK}, {args.rounds} rounds, medians")
    print(f"{'':<24}  {'tokens/s':>9}  {'peak, MiB':>9}")
    for name, text in (("lora", "LoRA"), ("peer", "PEFT"), ("full", "all parameters"),
                       ("lora_teacher", "LoRA, teacher"), ("full_teacher", "all parameters, teacher")):
        print(f"{text:<24}  {of(name, 'tokens_per_second'):>9.0f}  {of(name, 'peak_bytes') / 2**20:>9.0f}")
    speed = of("lora", "tokens_per_second") / of("peer", "tokens_per_second")
    memory = of("lora", "peak_bytes") / of("peer", "peak_bytes")
    step = of("full_teacher", "tokens_per_second") / of("lora_teacher", "tokens_per_second")
    print(f"LoRA beside PEFT: {speed:.2f} x the tokens/s, {memory:.2f} of the memory")
    print(f"step with a teacher: {step:.2f} of the time of training all parameters")


if __name__ == "__main__":
    main()
