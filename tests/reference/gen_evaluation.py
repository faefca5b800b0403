#!/usr/bin/env python3
"""Generate tests/reference/evaluation.json: log-likelihoods of texts behind contexts by transformers.

    pip install torch transformers
    gen_evaluation.py [OUT_FILE]

The tiny Llama in float64. Context and text are tokenized as one; a token is the text's when any of its bytes is; a text without context begins
behind the BOS.
"""
import json
import pathlib
import sys

import torch
import transformers

HERE = pathlib.Path(__file__).parent
CASES = [
    ("The river runs past", " twelve mills and a town."),
    ("The river runs past ", "mills"),  # the blank goes into the text's first token
    ("", "The old miller sleeps until noon."),
    ("Frage: Wie heißt der Fluß?\nAntwort:", " Die Drömme, glaube ich."),
    ("新闻标题：河水\n类别：", "旅游"),
    ("x", "y"),
    ("Count: 1, 2, 3,", " 4"),
]


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "evaluation.json")
    tokenizer = transformers.AutoTokenizer.from_pretrained(HERE / "tiny_llama")
    model = transformers.AutoModelForCausalLM.from_pretrained(HERE / "tiny_llama", dtype=torch.float64)
    rows = []
    for context, text in CASES:
        whole = tokenizer(context + text, add_special_tokens=False, return_offsets_mapping=True)
        ids = whole["input_ids"]
        ends = [end for _, end in whole["offset_mapping"]]  # in characters, as the context's length here
        first = next(i for i, end in enumerate(ends) if end > len(context))
        if not context:
            ids, first = [tokenizer.bos_token_id] + ids, first + 1
        with torch.no_grad():
            scores = torch.log_softmax(model(torch.tensor([ids])).logits[0, :-1], -1)
        sums = sum(scores[i - 1, ids[i]].item() for i in range(first, len(ids)))
        rows.append({"context": context, "text": text, "tokens": len(ids) - first, "log_likelihood": sums})
    made = {"generated_by": "tests/reference/gen_evaluation.py", "torch": torch.__version__,
            "transformers": transformers.__version__, "rows": rows}
    out.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
