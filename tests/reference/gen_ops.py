"""Writes ops_values.h: what torch and transformers compute for the operators of layer ops.

Usage: python tests/reference/gen_ops.py   (torch 2.13, transformers 5.17)
"""
from pathlib import Path

import torch
import transformers
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb

lines = [
    f"// Made by gen_ops.py with torch {torch.__version__} and transformers {transformers.__version__}.",
    "#pragma once",
    "",
    "namespace distill::reference {",
    "",
]


def write(name: str, values: torch.Tensor) -> None:
    numbers = [f"{v:.9g}" for v in values.detach().flatten().double().tolist()]
    numbers = [n if any(c in n for c in ".en") else n + ".0" for n in numbers]
    rows = [", ".join(numbers[i : i + 5]) for i in range(0, len(numbers), 5)]
    lines.append(f"inline constexpr double {name}[] = {{\n    " + ",\n    ".join(rows) + "};\n")


def wave(n: int, step: float) -> torch.Tensor:
    return torch.sin(torch.arange(n, dtype=torch.float32) * step + 0.3)


norm = LlamaRMSNorm(5, eps=1e-5)
norm.weight.data = 1 + 0.5 * wave(5, 0.9)
x = 3 * wave(10, 0.7).view(2, 5)
write("kRmsNormInput", x)
write("kRmsNormWeight", norm.weight)
write("kRmsNormOutput", norm(x))

# 3 positions, 2 heads, head size 4; transformers wants [batch, heads, positions, size].
q = wave(24, 0.37).view(3, 2, 4)
angle = torch.arange(3, dtype=torch.float32)[:, None] * torch.tensor([1.0, 0.01])
full = torch.cat([angle, angle], -1)[None]
turned, _ = apply_rotary_pos_emb(q.transpose(0, 1)[None], q.transpose(0, 1)[None], full.cos(), full.sin())
write("kRotaryInput", q)
write("kRotaryCos", angle.cos())
write("kRotarySin", angle.sin())
write("kRotaryOutput", turned[0].transpose(0, 1))

gate, up = 4 * wave(8, 1.1), wave(8, 0.5)
write("kSwigluGate", gate)
write("kSwigluUp", up)
write("kSwigluOutput", torch.nn.functional.silu(gate) * up)

weight = torch.nn.Parameter(wave(8, 0.8))
write("kAdamWStart", weight)
optimizer = torch.optim.AdamW([weight], lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, foreach=False)
gradients = []
for step in range(10):
    weight.grad = 0.2 * torch.cos(torch.arange(8, dtype=torch.float32) * 0.6 + step)
    gradients.append(weight.grad.clone())
    optimizer.step()
write("kAdamWGradients", torch.stack(gradients))
write("kAdamWEnd", weight)
write("kAdamWExpAvg", optimizer.state[weight]["exp_avg"])
write("kAdamWExpAvgSq", optimizer.state[weight]["exp_avg_sq"])

# The same start and gradients, but the gradient is undefined in some steps, the first ones too.
late = torch.nn.Parameter(wave(8, 0.8))
optimizer = torch.optim.AdamW([late], lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, foreach=False)
has_gradient = [step not in (0, 1, 2, 5) for step in range(10)]
for step in range(10):
    late.grad = gradients[step].clone() if has_gradient[step] else None
    optimizer.step()
write("kAdamWLateHasGradient", torch.tensor(has_gradient))
write("kAdamWLateEnd", late)
write("kAdamWLateExpAvg", optimizer.state[late]["exp_avg"])
write("kAdamWLateExpAvgSq", optimizer.state[late]["exp_avg_sq"])
write("kAdamWLateSteps", optimizer.state[late]["step"])

lines.append("}  // namespace distill::reference")
Path(__file__).with_name("ops_values.h").write_text("\n".join(lines) + "\n")
