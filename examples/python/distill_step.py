#!/usr/bin/env python3
"""A few distillation steps of Hugging Face models with the fused loss of libdistill.so.

    cmake --build build/release --target distill_torch_library
    examples/python/distill_step.py build/release/libdistill/libdistill.so

The loss takes hidden states and heads, so no logits are formed in Python: memory does not grow
with tokens x vocabulary, and the gradients are ready when the loss is. Needs torch and
transformers; the two models here are small random ones."""

import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def small_llama(layers, width):
    config = LlamaConfig(vocab_size=2048, hidden_size=width, intermediate_size=2 * width,
                         num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2)
    return LlamaForCausalLM(config).to(torch.bfloat16)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.ops.load_library(sys.argv[1])
    torch.manual_seed(0)
    teacher, student = small_llama(4, 128).eval(), small_llama(2, 64)
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    ids = torch.randint(0, 2048, (4, 64))
    valid = torch.rand(ids.shape) < 0.9  # tokens that count
    for step in range(5):
        with torch.no_grad():
            teacher_hidden = teacher.model(ids).last_hidden_state
        student_hidden = student.model(ids).last_hidden_state
        total = torch.ops.distill.linear_divergence(
            student_hidden.flatten(0, 1), student.lm_head.weight,
            teacher_hidden.flatten(0, 1), teacher.lm_head.weight,
            "forward_kl", temperature=2.0, valid=valid.flatten())
        loss = total / valid.sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(f"step {step + 1}: loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
