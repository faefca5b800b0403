#!/usr/bin/env python3
"""What several runs came to as one SVG: a line for each variant, on it a dot for each seed and a bar at their mean.

    plot_results.py OUT.svg RESULTS.jsonl... [--metric kl_to_teacher] [--title TEXT] [--label TEXT]
                    [--only VARIANT[=NAME]...] [--minus VARIANT]

RESULTS.jsonl are those of best_recipe.py and progressive_versus_direct.py. The least mean is at the top. With --only
these variants alone, under other names where they are given; with --minus what each is above that variant of the same
seed and file. Needs nothing but Python."""

import argparse
import pathlib
import statistics
import sys
from html import escape

import variants
from plot_runs import COLOURS, WIDTH, round_ticks, short, text

LABELS = {"kl_to_teacher": "KL to the teacher, nats a token"}
NAMES, TOP, ROW, RIGHT, BOTTOM = 300, 70, 30, 90, 46


def read(paths, metric, only, base):
    """[(name, values)], the least mean first."""
    results = []
    for path in paths:
        of_file = variants.read_results(path)
        results += variants.minus(of_file, base) if base else of_file
        if base and not any(result["variant"] == base for result in of_file):
            sys.exit(f"{path}: no results of {base}")
    names = dict(words.partition("=")[::2] for words in only) if only else None
    values = {}
    for result in results:
        if names is None or result["variant"] in names:
            values.setdefault(result["variant"], []).append(result[metric])
    missing = set(names or []) - set(values)
    if missing:
        sys.exit(f"no results of {', '.join(sorted(missing))}")
    shown = [((names or {}).get(variant) or variant, found) for variant, found in values.items()]
    return sorted(shown, key=lambda item: statistics.fmean(item[1]))


def row(index, name, values, place):
    y = TOP + ROW * (index + 0.5)
    mean = statistics.fmean(values)
    out = [f'<path d="M{NAMES} {y}H{WIDTH - RIGHT}" stroke="#e3e7ec"/>',
           text(NAMES - 14, y + 4, name, 12, "end", "#1a1f27"),
           f'<path d="M{place(mean):.1f} {y - 9}v18" stroke="#1a1f27" stroke-width="2"/>']
    out += [f'<circle cx="{place(value):.1f}" cy="{y}" r="4.5" fill="{COLOURS[0]}" fill-opacity=".6"/>'
            for value in values]
    return out + [text(WIDTH - RIGHT + 14, y + 4, f"{mean:.4g}", 12, colour="#1a1f27")]


def svg(groups, title, label):
    every = [value for _, values in groups for value in values]
    margin = 0.05 * (max(every) - min(every)) or 0.05 * abs(every[0]) or 1
    low, high = min(every) - margin, max(every) + margin

    def place(value):
        return NAMES + (WIDTH - NAMES - RIGHT) * (value - low) / (high - low)

    bottom = TOP + ROW * len(groups)
    parts = [text(18, 26, title, 15, colour="#1a1f27", more='font-weight="600"'), text(18, 48, label)]
    for tick in round_ticks(low, high, 6):
        parts.append(f'<path d="M{place(tick):.1f} {TOP}V{bottom}" stroke="#f0f2f5"/>')
        parts.append(text(place(tick), bottom + 20, short(tick), 11, "middle"))
    for index, (name, values) in enumerate(groups):
        parts += row(index, name, values, place)
    height = bottom + BOTTOM
    said = "; ".join(f"{name} {statistics.fmean(values):.4g}" for name, values in groups)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" font-family="system-ui, sans-serif" role="img"><title>{escape(title)}: '
            f'{escape(said)}</title><rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("results", type=pathlib.Path, nargs="+", metavar="RESULTS.jsonl")
    parser.add_argument("--metric", default="kl_to_teacher")
    parser.add_argument("--title", default="")
    parser.add_argument("--label")
    parser.add_argument("--only", nargs="+", metavar="VARIANT[=NAME]")
    parser.add_argument("--minus", metavar="VARIANT")
    args = parser.parse_args()
    if args.minus and args.metric not in variants.METRICS:
        sys.exit(f"--minus goes with --metric {', '.join(variants.METRICS)}")
    above = f" above {args.minus} of the same seed" if args.minus else ""
    label = args.label or f"{LABELS.get(args.metric, args.metric)}{above}; a dot a seed, a bar their mean"
    groups = read(args.results, args.metric, args.only, args.minus)
    if not groups:
        sys.exit("there are no results in these files")
    args.out.write_text(svg(groups, args.title, label))


if __name__ == "__main__":
    main()
