"""Speed of the tokenizers beside the `tokenizers` package, one thread and several, in one run.

    tokenize_versus_tokenizers.py PROBE [MEGABYTES]      PROBE: build/release/tests/integration/tokenizer_probe

Texts are rows of ../shared/data; both give ids for the same rows, the best of three runs counts.
The package runs with TOKENIZERS_PARALLELISM=false for one thread; its time is that of encode_batch_fast.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("DISTILL_SHARED", ROOT.parent / "shared"))
SETS = ["gpt2", "smollm2", "qwen2.5", "llama-3.1", "deepseek-r1"]


def rows(names, size):
    texts, total = [], 0
    for name in names:
        for file in sorted((SHARED / "data" / name).glob("*.jsonl")):
            for line in file.read_text().splitlines():
                text = " ".join(value for value in json.loads(line).values() if isinstance(value, str))
                if text and total < size:
                    texts.append(text)
                    total += len(text.encode())
    return texts, total


def ours(program, folder, mode, number, lines):
    out = subprocess.run([program, folder, mode, str(number)], input=lines, capture_output=True, text=True, check=True).stdout
    seconds, ids = out.split()
    return float(seconds), int(ids)


def theirs(folder, texts):
    best, ids = 1e9, 0
    for _ in range(3):  # anew each time: it remembers words, and ours does not
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        start = time.perf_counter()
        result = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        best = min(best, time.perf_counter() - start)
        ids = sum(len(encoding.ids) for encoding in result)
    return best, ids


def main():
    program = sys.argv[1]
    size = int(float(sys.argv[2]) * 1e6) if len(sys.argv) > 2 else 2_000_000
    extra = [pathlib.Path(path) for path in sys.argv[3:]]  # further folders with a tokenizer.json
    print("| tokenizer | text | MB/s, 1 thread | tokenizers MB/s | ratio | MB/s, 2 threads | scaling |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind, names in (("English", ["wikitext2", "wikipedia_en"]), ("Chinese", ["zh_abstracts", "alpaca_zh"])):
        texts, total = rows(names, size)
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        for folder in [SHARED / "tokenizers" / name for name in SETS] + extra:
            one, ids = ours(program, folder, "bench", 3, lines)
            peer, peer_ids = theirs(folder, texts)
            two, _ = ours(program, folder, "batch", 2, lines)
            assert ids == peer_ids, (folder, ids, peer_ids)
            print(f"| {folder.name} | {kind} | {total / one / 1e6:.1f} | {total / peer / 1e6:.1f} | {peer / one:.1f} | {total / two / 1e6:.1f} | {one / two:.2f} |", flush=True)


if __name__ == "__main__":
    main()
