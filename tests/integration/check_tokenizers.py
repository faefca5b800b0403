"""Compares ids, decoded and streamed texts with the `tokenizers` and `sentencepiece` packages on random
Unicode texts, for every set of ../shared/tokenizers.

    check_tokenizers.py PROBE [TEXTS_PER_SET]      exit 77: a package or the sets are not there
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import zlib

try:
    import sentencepiece
    import tokenizers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETS = pathlib.Path(os.environ.get("DISTILL_SHARED", ROOT.parent / "shared")) / "tokenizers"
# (first, last, weight by repetition): Latin, Greek, Cyrillic, marks, Arabic, Indic, CJK, kana, Hangul, emoji...
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0x30, 0x39), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x55F), (0x600, 0x6FF),
          (0x900, 0xE7F), (0x1100, 0x11FF), (0x2000, 0x206F), (0x2100, 0x21FF), (0x3040, 0x30FF), (0x4E00, 0x9FA5),
          (0xAC00, 0xD7A3), (0xFB00, 0xFB4F), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x1F300, 0x1F6FF), (0, 0x1F),
          (0x10000, 0x10FFFF), (0xE000, 0xFFFF)]
WORDS = ["the", " the", "ing", "word", "'ll", "  ", "\u2581", "\u2581\u2581", "aa", "\u3000", "\u00a0", "\r\n", "\t", " " * 17, "\n" * 5]


def random_text(rng, added, tokens=WORDS):
    pools = [lambda r=r: chr(rng.randint(*r)) for r in RANGES]
    pools += [lambda: rng.choice("etaoinshrdlu THE'sx"), lambda: rng.choice(" \n\t\r "), lambda: rng.choice(added), lambda: rng.choice(WORDS)]
    pools += [lambda: rng.choice(tokens)] * 4  # what merges join, end to end
    chosen = rng.sample(pools, rng.randint(1, 5))
    return "".join(rng.choice(chosen)() for _ in range(rng.randint(0, 30)))


def probe(program, folder, mode, rows):
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return subprocess.run([program, folder, mode], input=lines, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def report(name, what, given, wanted, found):
    bad = [(g, w, f) for g, w, f in zip(given, wanted, found) if w != f]
    if len(found) != len(wanted):
        bad.append(("lines", len(wanted), len(found)))
    for given_, wanted_, found_ in bad[:3]:
        print(f"{name} {what}: {given_!r}\n  expected {wanted_!r}\n  is       {found_!r}")
    return len(bad)


def spelled(lists):
    return [" ".join(map(str, ids)) for ids in lists]


def texts_of(lines):
    return [json.loads(line)["text"] for line in lines]


def check_json(program, folder, count, rng):
    package = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    added = [token.content for token in package.get_added_tokens_decoder().values()] or ["<s>"]
    tokens = [package.decode([rng.randrange(package.get_vocab_size(with_added_tokens=False))]) for _ in range(5000)]
    wide = [token for token in tokens if not token.isascii() and "\ufffd" not in token] or WORDS
    texts = [random_text(rng, added, rng.choice((tokens, wide))) for _ in range(count)]
    rows = [{"text": text} for text in texts]
    bad = 0
    for mode in ("encode", "special", "plain", "ranges"):
        package.encode_special_tokens = mode == "plain"
        ids = [e.ids for e in package.encode_batch(texts, add_special_tokens=mode == "special")]
        bad += report(folder.name, mode, texts, spelled(ids), probe(program, folder, mode, rows))
    valid = [i for i in range(package.get_vocab_size()) if package.id_to_token(i)]
    ids = ids[: count // 2] + [[rng.choice(valid) for _ in range(rng.randint(0, 8))] for _ in range(count // 4)]
    for suffix in ("", "_skip"):
        wanted = [package.decode(i, skip_special_tokens=bool(suffix)) for i in ids]
        for mode in ("decode", "stream"):
            found = texts_of(probe(program, folder, mode + suffix, [{"ids": i} for i in ids]))
            bad += report(folder.name, mode + suffix, ids, wanted, found)
    return bad


def check_model(program, folder, count, rng):
    package = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    texts = [random_text(rng, ["<s>", "</s>", "[INST]", "<unk>"]) for _ in range(count)]
    ids = package.encode(texts)
    bad = report(folder.name, "plain", texts, spelled(ids), probe(program, folder, "plain", [{"text": text} for text in texts]))
    size = package.vocab_size()
    ids = ids[: count // 2] + [[rng.randrange(size) for _ in range(rng.randint(0, 8))] for _ in range(count // 4)]
    wanted = [package.decode(i) for i in ids]
    for mode in ("decode_skip", "stream_skip"):
        bad += report(folder.name, mode, ids, wanted, texts_of(probe(program, folder, mode, [{"ids": i} for i in ids])))
    return bad


def main():
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    if not SETS.is_dir():
        print(f"skipped: {SETS} is not there")
        return 77
    bad = 0
    for folder in sorted(path for path in SETS.iterdir() if path.is_dir()):
        rng = random.Random(zlib.crc32(folder.name.encode()))
        check = check_json if (folder / "tokenizer.json").exists() else check_model
        found = check(program, folder, count, rng)
        print(f"{folder.name}: {count} texts, {found} differences", flush=True)
        bad += found
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
