#!/usr/bin/env python3
"""Turn The Debian Administrator's Handbook (Debian package debian-handbook) into JSONL.

    handbook_to_jsonl.py OUT_DIR [--html DIR]

Writes OUT_DIR/train.jsonl and OUT_DIR/eval.jsonl, one page of the book a line as {"text": ...}. Every
twelfth page is held out for evaluation. The book is GPL-2+ / CC-BY-SA-3.0; its text stays on this machine.
"""
import argparse
import html.parser
import json
import os
import pathlib
import re
import sys

BLOCKS = {"div", "p", "h1", "h2", "h3", "h4", "h5", "li", "dt", "dd"}
# Listings, tables and what belongs to the page and not to the book.
SKIPPED = {"script", "style", "pre", "table", "head"}
SHORTEST_PARAGRAPH = 40
SHORTEST_PAGE = 500
HELD_OUT_EVERY = 12
HELD_OUT_FIRST = 5


class Paragraphs(html.parser.HTMLParser):
    """Collects the text of block elements in order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.paragraphs = []
        self.pieces = []
        self.skipping = []  # open elements that are left out

    def flush(self):
        text = re.sub(r"\s+", " ", "".join(self.pieces)).strip()
        self.pieces = []
        if len(text) >= SHORTEST_PARAGRAPH:
            self.paragraphs.append(text)

    def handle_starttag(self, tag, attributes):
        navigation = tag == "ul" and "docnav" in (dict(attributes).get("class") or "")
        if tag in SKIPPED or navigation or (self.skipping and tag == self.skipping[-1]):
            self.skipping.append(tag)
        if tag in BLOCKS:
            self.flush()

    def handle_endtag(self, tag):
        if self.skipping and tag == self.skipping[-1]:
            self.skipping.pop()
        if tag in BLOCKS:
            self.flush()

    def handle_data(self, data):
        if not self.skipping:
            self.pieces.append(data)


def read_pages(folder):
    pages = []
    for path in sorted(folder.glob("*.html")):
        parser = Paragraphs()
        parser.feed(path.read_text(encoding="utf-8"))
        parser.flush()
        text = "\n\n".join(parser.paragraphs)
        if len(text) >= SHORTEST_PAGE:
            pages.append(text)
    return pages


def write_jsonl(path, texts):
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", encoding="utf-8") as out:
        for text in texts:
            out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    os.replace(temporary, path)
    print(f"{path}: {len(texts)} pages, {sum(len(t.split()) for t in texts)} words")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--html", type=pathlib.Path, default=pathlib.Path("/usr/share/doc/debian-handbook/html/en-US"))
    arguments = parser.parse_args()
    pages = read_pages(arguments.html)
    if not pages:
        sys.exit(f"error: {arguments.html}: no pages found; install the Debian package debian-handbook")
    arguments.out.mkdir(parents=True, exist_ok=True)
    held_out = [i % HELD_OUT_EVERY == HELD_OUT_FIRST for i in range(len(pages))]
    write_jsonl(arguments.out / "train.jsonl", [p for p, held in zip(pages, held_out) if not held])
    write_jsonl(arguments.out / "eval.jsonl", [p for p, held in zip(pages, held_out) if held])


if __name__ == "__main__":
    main()
