"""Writes tokenizer/sentencepiece.model, tokenizer/sentencepiece.json and tokenizer/sentencepiece.jsonl
beside this script: a small SentencePiece BPE with bytes for unknown characters, the same as a
tokenizer.json, and what the packages give.

Run: python gen_sentencepiece.py      (needs sentencepiece and tokenizers; written with 0.2.3 and 0.23.3)

sentencepiece.json is a whole tokenizer.json but for the text STEPS in it. The rows begin with
`{"name", "steps"}` for each form and go on with `{"text", "model", FORM...}`: the ids of the
sentencepiece package and of the `tokenizers` package in each form.
"""
import io
import json
import random

import sentencepiece
from gen_tokenizer import CORPUS, HERE, SEED, TEXTS, dump, random_text
from tokenizers import Tokenizer

SPACE = "\u2581"


def train():
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 3), model_writer=out, model_type="bpe", vocab_size=480, byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1,
        minloglevel=2)
    return out.getvalue()


def as_json(model):
    """All ways to cut a piece in two pieces are merges, in the order of the piece that they give."""
    size = model.vocab_size()
    ids = {model.id_to_piece(i): i for i in range(size)}
    plain = [i for i in range(size) if not (model.is_control(i) or model.is_unknown(i) or model.is_byte(i))]
    merges = []
    for i in sorted(plain, key=lambda i: -model.get_score(i)):
        piece = model.id_to_piece(i)
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        merges += sorted((c for c in cuts if ids.get(c[0]) in plain and ids.get(c[1]) in plain), key=lambda c: (ids[c[0]], ids[c[1]]))
    special = [{"id": i, "content": model.id_to_piece(i), "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for i in range(3)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "post_processor": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": ids, "merges": [list(m) for m in merges]}}


def forms():
    old = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE},
                                               {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]}
    decoder = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                                                {"type": "ByteFallback"}, {"type": "Fuse"},
                                                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}

    def metaspace(scheme, split):
        return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}

    return {"old": {"normalizer": old, "pre_tokenizer": None, "decoder": decoder},
            "always": {"normalizer": None, "pre_tokenizer": metaspace("always", False), "decoder": decoder},
            "first": {"normalizer": None, "pre_tokenizer": metaspace("first", True), "decoder": decoder},
            "never": {"normalizer": None, "pre_tokenizer": metaspace("never", True), "decoder": metaspace("never", True)}}


def main():
    proto = train()
    model = sentencepiece.SentencePieceProcessor(model_proto=proto)
    base = as_json(model)
    packages = {name: Tokenizer.from_str(json.dumps({**base, **steps})) for name, steps in forms().items()}
    rng = random.Random(SEED)
    texts = TEXTS + ["a<s>b</s> c", "</s>", "x </s>  y"] + [random_text(rng) for _ in range(60)]
    rows = [{"name": name, "steps": dump(steps)[1:-1]} for name, steps in forms().items()]
    for text in texts:
        row = {"text": text, "model": model.encode(text)}
        for name, package in packages.items():
            row[name] = package.encode(text, add_special_tokens=False).ids
            row[name + " decoded"] = package.decode(row[name])
        rows.append(row)
    (HERE / "sentencepiece.model").write_bytes(proto)
    (HERE / "sentencepiece.json").write_text(dump(base)[:-1] + ",STEPS}\n")
    (HERE / "sentencepiece.jsonl").write_text("".join(dump(row) + "\n" for row in rows))
    print(len(texts), "texts")


if __name__ == "__main__":
    main()
