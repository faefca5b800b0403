#!/usr/bin/env python3
"""The fused loss beside what Python users have, through torch.ops.distill, in one process.

    tests/bench/versus_python.py build/release/libdistill/libdistill.so [--shape 2048x576x49152]
                                 [--dtype bf16] [--beta 0.5] [--rounds 3]

Forward KL (or JSD with --beta), T = 2, forward and backward, gradients of hidden states and head.
Prints the median time relative to the four matrix products by torch.mm, the memory on top of inputs
and gradients, and how far the gradients are from float64 on a small problem. TRL
(ChunkedDivergenceFunction) and Liger (LigerFusedLinearJSD) are taken when they are installed; their
kernel files are loaded alone, so that what the rest of these packages wants need not be there."""

import argparse
import contextlib
import importlib.util
import pathlib
import statistics
import sys
import time
import types

import torch
import torch.nn.functional as F

T = 2.0


def load_alone(package, path):
    """A module of an installed package, without running the package's own __init__."""
    found = importlib.util.find_spec(package)
    if found is None:
        raise ImportError(f"{package} is not installed")
    folder = pathlib.Path(found.submodule_search_locations[0])
    parts = path.removesuffix(".py").split("/")
    for depth in range(len(parts)):
        name = ".".join([package, *parts[:depth]])
        if name not in sys.modules:
            stub = types.ModuleType(name)
            stub.__path__ = [str(folder.joinpath(*parts[:depth]))]
            sys.modules[name] = stub
    return importlib.import_module(".".join([package, *parts]))


def eager(beta):
    def loss(hidden, head, teacher_hidden, teacher_head):
        s = F.log_softmax((hidden @ head.t()).float() / T, -1)
        p = F.log_softmax((teacher_hidden @ teacher_head.t()).float() / T, -1)
        if beta is None:
            return F.kl_div(s, p, reduction="sum", log_target=True) * T * T
        share = torch.tensor(beta)
        m = torch.logaddexp(p + share.log(), s + (1 - share).log())
        return (beta * F.kl_div(m, p, reduction="sum", log_target=True)
                + (1 - beta) * F.kl_div(m, s, reduction="sum", log_target=True)) * T * T
    return loss


def distill(beta):
    def loss(hidden, head, teacher_hidden, teacher_head):
        kind = "forward_kl" if beta is None else "jsd"
        return torch.ops.distill.linear_divergence(hidden, head, teacher_hidden, teacher_head, kind,
                                                   T, None, 0.5 if beta is None else beta)
    return loss


def trl(beta):
    # Its training utilities want many packages; of them the loss takes only this context, which
    # gathers a head that is spread over ranks.
    utils = types.ModuleType("trl.trainer.utils")
    utils.maybe_gather_lm_head_ctx = lambda *_: contextlib.nullcontext()
    sys.modules["trl.trainer.utils"] = utils
    function = load_alone("trl", "kernels/chunked_divergence.py").ChunkedDivergenceFunction

    def loss(hidden, head, teacher_hidden, teacher_head):
        per_token, _ = function.apply(hidden, head, None, teacher_hidden, teacher_head, None,
                                      0.0 if beta is None else beta, T)
        return per_token.sum() * T * T
    return loss


def liger(beta):
    module = load_alone("liger_kernel", "chunked_loss/jsd_loss.py")
    # The hard loss has no weight; its labels only have to be there.
    function = module.LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0,
                                              beta=0.0 if beta is None else beta, temperature=T,
                                              compiled=False)

    def loss(hidden, head, teacher_hidden, teacher_head):
        labels = torch.zeros(hidden.size(0), dtype=torch.long)
        value = function(hidden, head, teacher_hidden, teacher_head, labels)
        return (value[0] if isinstance(value, tuple) else value) * hidden.size(0) * T * T
    return loss


def problem(rows, width, vocabulary, dtype):
    torch.manual_seed(0)
    def random(m, n, scale):
        return (torch.randn(m, n) * scale).to(dtype)
    hidden, head = random(rows, width, 1.0), random(vocabulary, width, 0.1)
    return (hidden.requires_grad_(), head.requires_grad_(), random(rows, width, 1.0),
            random(vocabulary, width, 0.1))


def gradients(loss, inputs):
    for x in inputs[:2]:
        x.grad = None
    loss(*inputs).backward()
    return torch.cat([x.grad.double().flatten() for x in inputs[:2]])


def error(loss, beta, dtype):
    inputs = problem(300, 64, 2000, dtype)
    exact = gradients(eager(beta), [x.detach().double().requires_grad_(x.requires_grad)
                                    for x in inputs])
    return ((gradients(loss, inputs) - exact).norm() / exact.norm()).item()


def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


def timed(body):
    start = time.perf_counter()
    body()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--shape", default="2048x576x49152", help="ROWSxWIDTHxVOCABULARY")
    parser.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--beta", type=float, help="JSD with this share; forward KL without")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.ops.load_library(args.library)
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    rows, width, vocabulary = map(int, args.shape.split("x"))

    losses, notes = {}, []
    for name, make in {"distill": distill, "torch eager": eager, "TRL": trl, "Liger": liger}.items():
        try:
            loss = make(args.beta)
            losses[name] = (loss, error(loss, args.beta, dtype))
        except Exception as problem_seen:
            notes.append(f"{name}: not run ({str(problem_seen).splitlines()[0]})")

    hidden, head, teacher_hidden, teacher_head = inputs = problem(rows, width, vocabulary, dtype)
    slope = torch.randn(rows, vocabulary).to(dtype)

    def products():
        with torch.no_grad():
            torch.mm(hidden, head.t())
            torch.mm(teacher_hidden, teacher_head.t())
            torch.mm(slope, head)
            torch.mm(slope.t(), hidden)

    bare, times, extra = [], {name: [] for name in losses}, {}
    for turn in range(args.rounds + 1):
        seconds = timed(products)
        if turn:
            bare.append(seconds)
        for name, (loss, _) in losses.items():
            hidden.grad = head.grad = None
            open("/proc/self/clear_refs", "w").write("5")
            before = status("VmRSS")
            seconds = timed(lambda: loss(*inputs).backward())
            gradients_mib = (hidden.nbytes + head.nbytes) / 2**20
            extra[name] = max(extra.get(name, 0), status("VmHWM") - before - gradients_mib)
            if turn:
                times[name].append(seconds)
    floor = statistics.median(bare)
    kind = "forward KL" if args.beta is None else f"JSD({args.beta})"
    print(f"{kind}, {args.dtype}, {args.shape}, {torch.get_num_threads()} threads, torch "
          f"{torch.__version__}: products {floor:.3f} s")
    print(f"{'':<12} {'seconds':>8} {'ratio':>6} {'extra MiB':>10} {'gradient error':>15}")
    for name, (_, wrong) in losses.items():
        seconds = statistics.median(times[name])
        print(f"{name:<12} {seconds:>8.3f} {seconds / floor:>6.2f} {extra[name]:>10.0f} {wrong:>15.1e}")
    for note in notes:
        print(note)


if __name__ == "__main__":
    main()
