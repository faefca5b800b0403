"""What gen_llama.py and gen_families.py share: random weights, and what transformers computes with them."""

import torch

LENGTHS = [1, 7, 150]


def fill(parameters, generator):
    """Norms around 1, everything else around 0."""
    with torch.no_grad():
        for name, parameter in parameters:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if "norm" in name else 0.25 * noise)


def logits_and_loss(model, vocab_size, generator):
    """ids_K and logits_K of every length, and the sum over them of the mean next-token loss."""
    result, loss = {}, 0.0
    for k, length in enumerate(LENGTHS):
        ids = torch.randint(0, vocab_size, (length,), generator=generator)
        logits = model(ids[None], use_cache=False).logits[0]
        result[f"ids_{k}"], result[f"logits_{k}"] = ids, logits.detach()
        if length > 1:
            loss = loss + torch.nn.functional.cross_entropy(logits[:-1], ids[1:])
    return result, loss
