#!/usr/bin/env python3
"""Generate tests/reference/smollm2.safetensors: what transformers computes with the quickstart's teacher.

    pip install torch transformers safetensors
    gen_smollm2.py models/SmolLM2-135M-Instruct [OUT_FILE]

fp32, eager attention. Logits are kept for a few positions only; `log_likelihood` covers all of them.
"""
import hashlib
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

TEXT = """A package is more than an archive of files. It says what it needs, what it replaces, and what must
happen before and after its files are in place. 12,345 of them are kept in step with each other; when one
changes, the others are built and tried again. That is why an upgrade on a Friday evening usually ends well:
somebody, or rather some machine, has tried it on Thursday.

def upgrade(packages):
    for name in sorted(packages):
        print(f"{name}: ok")
"""
ROWS = [0, 1, 7, 100]


def main():
    folder = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent / "smollm2.safetensors")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    ids = torch.tensor(tokenizer(TEXT, add_special_tokens=False)["input_ids"])
    with torch.no_grad():
        logits = model(input_ids=ids[None]).logits[0]
        greedy = model.generate(ids[None, :40], max_new_tokens=32, do_sample=False, eos_token_id=-1)[0, 40:]
    log_likelihood = torch.log_softmax(logits[:-1], -1).gather(1, ids[1:, None])[:, 0]
    save_file(
        {"input_ids": ids, "rows": torch.tensor(ROWS), "logits": logits[ROWS].contiguous(),
         "log_likelihood": log_likelihood.contiguous(), "greedy_from_40": greedy.contiguous()},
        out,
        metadata={"generated_by": "tests/reference/gen_smollm2.py", "torch": torch.__version__,
                  "transformers": transformers.__version__, "text": TEXT,
                  "model_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()})
    print(json.dumps({"tokens": len(ids), "nll": -log_likelihood.mean().item()}))


if __name__ == "__main__":
    main()
