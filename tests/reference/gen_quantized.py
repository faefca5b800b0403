#!/usr/bin/env python3
"""Write tests/reference/quantized.safetensors: a matrix in NF4 with double quantisation.

    python tests/reference/gen_quantized.py

By the definition (Dettmers et al. 2023, QLoRA, section 3 and appendix E), element by element in
float64; needs torch and safetensors, no other implementation of it.
"""
import pathlib

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).with_name("quantized.safetensors")
SEED = 20
BLOCK, GROUP = 64, 256


def values():
    """Evenly spaced quantiles of both halves of a normal distribution, over the largest."""
    last = (1 - 1 / 32 + 1 - 1 / 30) / 2
    quantile = lambda n: torch.special.ndtri(torch.linspace(last, 0.5, n, dtype=torch.float64)[:-1])
    table = torch.cat([-quantile(8), torch.zeros(1, dtype=torch.float64), quantile(9).flip(0)])
    return table / table.max()


def main():
    torch.manual_seed(SEED)
    # Wide enough that scales fall into two groups, and blocks go from row to row.
    weight = (torch.randn(130, 131) * torch.rand(130, 1)).bfloat16()
    table, flat = values(), weight.double().flatten()
    blocks = flat.split(BLOCK)
    largest = torch.stack([block.abs().max() for block in blocks])
    places = torch.cat([(block / most).unsqueeze(1).sub(table).abs().argmin(1)
                        for block, most in zip(blocks, largest)])
    places = torch.cat([places, torch.full((places.numel() % 2,), 7)])
    offset = largest.mean()
    scales, steps = [], []
    for group in (largest - offset).split(GROUP):
        steps.append(group.abs().max() / 127)
        scales.append((group / steps[-1]).round())
    scales, steps = torch.cat(scales), torch.stack(steps)
    formed = scales * steps.repeat_interleave(GROUP)[: scales.numel()] + offset
    dense = table[places[: flat.numel()]] * formed.repeat_interleave(BLOCK)[: flat.numel()]
    save_file(
        {
            "weight": weight,
            "table": table,
            "codes": (places[0::2] * 16 + places[1::2]).to(torch.uint8),
            "scales": scales.to(torch.int8),
            "steps": steps,
            "offset": offset.reshape(1),
            "dense": dense.view_as(weight).float(),
        },
        OUT,
        {"script": "tests/reference/gen_quantized.py", "seed": str(SEED), "torch": torch.__version__},
    )


if __name__ == "__main__":
    main()
