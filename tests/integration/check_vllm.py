"""A teacher that a real vLLM holds, on the CPU. scripts/test_vllm installs it and calls this with its Python.

    check_vllm.py DISTILL_TRAIN DISTILL MODEL

Checks that the loss of the first step is the one worked out here from the logits of both models, with the classes
that top-k leaves, and below that of a local teacher; that a run with a served teacher learns; that `distill
generate-data` gets answers; that a run whose server is killed ends with one line and its checkpoint.
"""
import concurrent.futures
import json
import math
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import torch
from safetensors.torch import load_file

KEY = "sk-check-0123"
TOP_K = 64
TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not care at all about it.",
    "Water boils at one hundred degrees Celsius at sea level; on a high mountain it boils sooner.",
    "Red, green and blue are three colours. Mixed as light they give white.",
    "def add(a, b):\n    return a + b\n\nprint(add(1, 2))  # 3",
]
RECIPE = """
name: served
output: {out}
precision: bf16
device: cpu
student: {student}
teacher: {teacher}
data:
  train: [{{path: {data}}}]
  sequence_length: 64
  packing: false
loss: [{{kind: {loss}}}]
train: {{steps: {steps}, batch_size: {rows}, micro_batch_size: {rows}, optimizer: {{kind: adamw, lr: {lr}}}}}
checkpoint: {{every: 1}}
"""


def say(*parts):
    print(*parts, flush=True)


class Server:
    """vLLM on a free port, in a process group of its own."""

    def __init__(self, model, log):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        environment = dict(os.environ, VLLM_CPU_KVCACHE_SPACE="1", VLLM_CPU_OMP_THREADS_BIND="nobind",
                           HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(max(1, (os.cpu_count() or 2) // 2)))
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--served-model-name",
                   "smollm2", "--host", "127.0.0.1", "--port", str(self.port), "--dtype", "bfloat16",
                   "--max-model-len", "1024", "--max-logprobs", str(TOP_K), "--enforce-eager", "--api-key", KEY]
        self.log = log
        self.process = subprocess.Popen(command, env=environment, stdout=open(log, "w"), stderr=subprocess.STDOUT,
                                        start_new_session=True)

    def ask(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}",
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)

    def wait(self, seconds=600):
        end = time.time() + seconds
        while time.time() < end:
            if self.process.poll() is not None:
                break
            try:
                return self.ask("/v1/models")
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(1)
        print(pathlib.Path(self.log).read_text()[-3000:])
        raise SystemExit("vLLM did not start")

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Checks:
    def __init__(self, folder, distill_train, distill, model, server):
        self.folder, self.distill_train, self.distill = folder, distill_train, distill
        self.model, self.server = model, server
        self.data = folder / "rows.jsonl"
        self.data.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
        self.served = (f"{{kind: server, url: '{server.url}', model: smollm2, top_k: {TOP_K}, api_key_env: CHECK_KEY, "
                       "retries: 1, parallel: 4}")
        self.local = f"{{kind: local, model: {model}}}"
        self.environment = dict(os.environ, CHECK_KEY=KEY)

    def recipe(self, name, **changes):
        values = dict(out=self.folder / name, data=self.data, loss="forward_kl, temperature: 1.0", steps=1, rows=len(TEXTS), lr="1.0e-4",
                      student=f"{{model: {self.model}, init: {{from: model, keep_layers: 4}}}}")
        path = self.folder / f"{name}.yaml"
        path.write_text(RECIPE.format(**{**values, **changes}))
        return path

    def run(self, *command):
        return subprocess.run([str(part) for part in command], env=self.environment, capture_output=True, text=True)

    def train(self, name, **changes):
        result = self.run(self.distill_train, self.recipe(name, **changes))
        assert result.returncode == 0, result.stderr
        rows = [json.loads(line) for line in (self.folder / name / "metrics.jsonl").read_text().splitlines()]
        return [row for row in rows if "event" not in row]

    def logits(self, folder, ids):
        out = self.folder / "logits.safetensors"
        result = self.run(self.distill, "logits", "--model", folder, "--ids", ids, "--out", out, "--dtype", "bf16",
                          "--device", "cpu")
        assert result.returncode == 0, result.stderr
        return load_file(out)

    def expected_loss(self, student, tokens):
        """Forward KL over the K likeliest ids of the teacher and one class for all others, by hand."""
        lines = subprocess.run([self.distill, "tokenize", "--model", self.model, "--jsonl"], input=self.data.read_text(),
                               capture_output=True, text=True, check=True).stdout.splitlines()
        eos = json.loads((pathlib.Path(self.model) / "config.json").read_text())["eos_token_id"]
        ids = self.folder / "ids"
        ids.write_text("".join(f"{line} {eos}\n" for line in lines))
        assert sum(len(line.split()) + 1 for line in lines) == tokens, tokens
        teacher, own = self.logits(self.model, ids), self.logits(student, ids)
        total, count = 0.0, 0
        for name in teacher:
            p = torch.log_softmax(teacher[name][:-1].double(), -1)
            q = torch.log_softmax(own[name][:-1].double(), -1)
            top = p.topk(TOP_K, -1)
            classes = []
            for log_probs in (p, q):
                listed = log_probs.gather(-1, top.indices)
                rest = torch.log((1 - listed.exp().sum(-1, keepdim=True)).clamp_min(1e-12))
                classes.append(torch.cat([listed, rest], -1))
            total += (classes[0].exp() * (classes[0] - classes[1])).sum().item()
            count += len(p)
        return total / count

    def losses_agree(self):
        student = self.folder / "start" / "final"
        self.train("start", teacher="{kind: none}", loss="cross_entropy",
                   lr="1.0e-9")
        fixed = f"{{model: {student}}}"
        served = self.train("served", teacher=self.served, student=fixed)[0]
        local = self.train("local", teacher=self.local, student=fixed)[0]
        expected = self.expected_loss(student, served["tokens"])
        error = abs(served["loss"] - expected) / expected
        say(f"loss of the first step: served {served['loss']:.5f}, by hand with the same classes {expected:.5f} "
            f"({100 * error:.2f} % apart), local teacher with all ids {local['loss']:.5f}")
        assert error < 0.02, "served and by hand differ by more than bf16 explains"
        assert 0.5 * local["loss"] < served["loss"] < 1.02 * local["loss"]

    def student_learns(self):
        steps = self.train("learns", teacher=self.served, steps=6)
        waited = [step["teacher_seconds"] for step in steps]
        say(f"six steps: loss {steps[0]['loss']:.3f} to {steps[-1]['loss']:.3f}; waited for the teacher "
            f"{waited[0]:.3f} s in the first step, {max(waited[1:]):.4f} s at most in the others")
        assert steps[-1]["loss"] < steps[0]["loss"]

    def probe(self):
        """What the teacher asks again and again: the distributions over a fixed text."""
        answer = self.server.ask("/v1/completions", {"model": "smollm2", "prompt": list(range(1000, 1100)),
                                                     "max_tokens": 1, "temperature": 0, "prompt_logprobs": TOP_K})
        return [{int(i): math.exp(entry["logprob"]) for i, entry in position.items()}
                for position in answer["choices"][0]["prompt_logprobs"][1:]]

    def rounding_is_small(self):
        """Batches are formed as requests come, and bf16 rounds differently in each: far below `max_drift`."""
        first, worst = self.probe(), 0.0
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            others = [pool.submit(self.probe) for _ in range(24)]
        for other in (task.result() for task in others):
            drift = 0.0
            for a, b in zip(first, other):
                both = a.keys() & b.keys()
                rest = abs(sum(b[i] for i in both) - sum(a[i] for i in both))
                drift += (sum(abs(a[i] - b[i]) for i in both) + rest) / 2 / len(first)
            worst = max(worst, drift)
        say(f"answers to one text are {worst:.5f} apart under load, `max_drift` is 0.05")
        assert worst < 0.02

    def answers_are_written(self):
        prompts, out = self.folder / "prompts.jsonl", self.folder / "answers.jsonl"
        prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in (
            "What is the capital of France?", "Say hello.", "Name a colour.")))
        result = self.run(self.distill, "generate-data", "--url", self.server.url, "--model", "smollm2", "--api-key-env",
                          "CHECK_KEY", "--prompts", prompts, "--out", out, "--samples", "2", "--max-new-tokens", "48",
                          "--min-tokens", "2", "--max-repetition", "0.5", "--min-likelihood", "-3", "--json")
        assert result.returncode == 0, result.stderr
        counts = json.loads(result.stdout)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert counts["asked"] == 6 and counts["written"] == len(rows) > 0, counts
        for row in rows:
            assert row["messages"][-1]["role"] == "assistant" and row["messages"][-1]["content"]
            assert -3 <= row["generation"]["mean_log_prob"] <= 0 and row["generation"]["tokens"] >= 2, row
        say(f"generate-data: {counts}")

    def server_dies(self):
        recipe = self.recipe("dies", teacher=self.served, steps=1000, rows=1)
        process = subprocess.Popen([self.distill_train, recipe], env=self.environment, stderr=subprocess.PIPE, text=True)
        metrics = self.folder / "dies" / "metrics.jsonl"
        end = time.time() + 120
        while time.time() < end and not (metrics.exists() and len(metrics.read_text().splitlines()) >= 2):
            time.sleep(0.1)
        # The rows come again and again, so that only the requests tell that the server is gone.
        self.server.kill()
        errors = process.communicate(timeout=120)[1]
        lines = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert process.returncode == 1, (process.returncode, errors)
        assert len(lines) == 1 and self.server.url in lines[0], errors
        assert list((self.folder / "dies" / "checkpoints").glob("step_*")), "no checkpoint was kept"
        kept = json.loads((self.folder / "dies" / "teacher.json").read_text())
        assert len(kept["answer"]) == len(kept["probe"]), "the model that the run began with was not kept"
        say("killed in mid-run: exit status 1,", lines[0])

    def key_is_nowhere(self):
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name != "vllm.log":
                assert KEY.encode() not in path.read_bytes(), path


def main():
    distill_train, distill, model = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:4])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = Server(model, folder / "vllm.log")
        try:
            begin = time.time()
            server.wait()
            # The first request compiles, for minutes where nothing is cached.
            server.ask("/v1/completions", {"model": "smollm2", "prompt": [504, 2365], "max_tokens": 1,
                                           "prompt_logprobs": 1})
            say(f"vLLM is up after {time.time() - begin:.0f} s")
            checks = Checks(folder, distill_train, distill, model, server)
            checks.losses_agree()
            checks.student_learns()
            checks.rounding_is_small()
            checks.answers_are_written()
            checks.server_dies()
            checks.key_is_nowhere()
        finally:
            server.kill()
    say("all is well")


if __name__ == "__main__":
    main()
