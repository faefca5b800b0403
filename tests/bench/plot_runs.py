#!/usr/bin/env python3
"""Curves of several runs as one SVG: a line for each group, the mean over its runs (seeds), and
behind it the spread from the least to the greatest of them.

    plot_runs.py OUT.svg [--metric loss] [--event evaluation] [--x step|tokens|seconds] [--smooth N]
                 [--log] [--title TEXT] [--y-label TEXT] [--range LOW HIGH] NAME=RUN[,RUN...] ...

RUN is a run folder or a metrics.jsonl; `*` and `?` in it stand for any text. Without --event the
metric is read from the steps. Runs of a group are compared where all of them have a value: at equal
steps, or for tokens and seconds at a hundred places between which each run is interpolated. Prints a
table: the last value of each group, its mean and spread. Needs nothing but Python.

    plot_runs.py kl.svg --event evaluation --metric kl_to_teacher --log \\
        "forward KL=runs/fkl_seed*" "reverse KL=runs/rkl_seed1,runs/rkl_seed2"
"""
import argparse
import bisect
import glob
import json
import math
import pathlib
import statistics
import sys
from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 84, 48
COLOURS = ["#2358d1", "#dd6b10", "#0e8f70", "#b23a92", "#7450cf", "#9a7400", "#0b84ab", "#69727f"]
# Told apart without colour too.
DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 4", "4 2", "1 4", "6 2 2 2"]


def read_run(path, metric, event, x):
    """[(x, value)] in ascending order; lines that are cut or hold no number are passed over."""
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / "metrics.jsonl"
    points, at = {}, {}
    with open(path) as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if not isinstance(row, dict):
                continue
            step = row.get("step")
            if "event" not in row and isinstance(row.get(x), (int, float)):
                at[step] = row[x]
            value = row.get(metric)
            if row.get("event") != event or not isinstance(value, (int, float)) or not math.isfinite(value):
                continue
            # Evaluations tell their step alone: their tokens and seconds are those of that step.
            place = row.get(x, at.get(step, 0 if step == 0 else None))
            if place is not None:
                points[place] = value
    if not points:
        sys.exit(f"{path}: no `{metric}` in " + (f"events `{event}`" if event else "its steps"))
    return sorted(points.items())


def smoothed(points, reach):
    """Means over `reach` neighbours on both sides, fewer near the ends."""
    values = [value for _, value in points]
    out = []
    for i, (x, _) in enumerate(points):
        side = min(reach, i, len(points) - 1 - i)
        out.append((x, statistics.fmean(values[i - side:i + side + 1])))
    return out


def value_at(points, x):
    places = [place for place, _ in points]
    i = bisect.bisect_left(places, x)
    if i < len(places) and places[i] == x:
        return points[i][1]
    (x0, y0), (x1, y1) = points[i - 1], points[i]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def merge(runs, x):
    """[(x, mean, least, greatest)] where all runs have a value."""
    if x == "step":
        places = sorted(set.intersection(*(set(place for place, _ in run) for run in runs)))
    else:
        low, high = max(run[0][0] for run in runs), min(run[-1][0] for run in runs)
        places = [low + (high - low) * i / 99 for i in range(100)] if high > low else []
    merged = []
    for place in places:
        values = [value_at(run, place) for run in runs]
        merged.append((place, statistics.fmean(values), min(values), max(values)))
    return merged


def round_ticks(low, high, count):
    least = (high - low) / count
    power = 10.0 ** math.floor(math.log10(least))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= least * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [(first + i) * step for i in range(count + 3) if (first + i) * step <= high * (1 + 1e-12)]


def log_ticks(low, high):
    factors = (1, 2, 5) if math.log10(high / low) < 2.5 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [f * 10.0 ** p for p in powers for f in factors if low <= f * 10.0 ** p <= high]


def short(value):
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{value:.4g}"


def text(x, y, words, size=12, anchor="start", colour="#5c6673", more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" {more}>'
            f"{escape(words)}</text>")


class Chart:
    def __init__(self, groups, arguments):
        self.groups, self.arguments = groups, arguments
        points = [point for _, _, merged in groups for point in merged]
        self.x_low, self.x_high = min(p[0] for p in points), max(p[0] for p in points)
        if self.x_high == self.x_low:
            self.x_high += 1
        low, high = arguments.range or (min(p[2] for p in points), max(p[3] for p in points))
        self.log = arguments.log
        if self.log and low <= 0:
            sys.exit(f"--log: the least value is {low:g}, expected one above 0")
        margin = 0 if arguments.range else 0.05 * (high - low) or 0.05 * abs(high) or 1
        self.low, self.high = (low / 1.05, high * 1.05) if self.log else (low - margin, high + margin)

    def x(self, value):
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value):
        value = min(max(value, self.low), self.high)
        share = (math.log(value / self.low) / math.log(self.high / self.low) if self.log
                 else (value - self.low) / (self.high - self.low))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def axes(self):
        out = []
        for tick in log_ticks(self.low, self.high) if self.log else round_ticks(self.low, self.high, 6):
            out.append(f'<path d="M{LEFT} {self.y(tick):.1f}H{WIDTH - RIGHT}" stroke="#e3e7ec"/>')
            out.append(text(LEFT - 8, self.y(tick) + 4, short(tick), 11, "end"))
        for tick in round_ticks(self.x_low, self.x_high, 7):
            out.append(text(self.x(tick), HEIGHT - BOTTOM + 18, short(tick), 11, "middle"))
        middle = (LEFT + WIDTH - RIGHT) / 2
        out.append(text(middle, HEIGHT - 10, self.arguments.x, 12, "middle"))
        label = self.arguments.y_label + (" (logarithmic)" if self.log else "")
        out.append(text(LEFT - 46, TOP - 14, label, 12))
        return out

    def curve(self, index, merged, several):
        colour, dash = COLOURS[index % 8], DASHES[index % 8]
        join = lambda points: "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)
        out = []
        if several:
            around = [(p[0], p[3]) for p in merged] + [(p[0], p[2]) for p in reversed(merged)]
            out.append(f'<path d="M{join(around)}Z" fill="{colour}" fill-opacity=".16"/>')
        out.append(f'<path d="M{join([(p[0], p[1]) for p in merged])}" fill="none" stroke="{colour}" '
                   f'stroke-width="2" stroke-linejoin="round" stroke-dasharray="{dash}"/>')
        if len(merged) <= 30:
            out += [f'<circle cx="{self.x(p[0]):.1f}" cy="{self.y(p[1]):.1f}" r="2.8" fill="{colour}"/>'
                    for p in merged]
        return out

    def legend(self):
        out, x = [], LEFT - 46
        for i, (name, runs, merged) in enumerate(self.groups):
            words = f"{name} {merged[-1][1]:.4g}" + (f" ({runs} runs)" if runs > 1 else "")
            out.append(f'<path d="M{x} 46h22" stroke="{COLOURS[i % 8]}" stroke-width="2.5" '
                       f'stroke-dasharray="{DASHES[i % 8]}"/>')
            out.append(text(x + 28, 50, words, 12, colour="#1a1f27"))
            x += 46 + 6.6 * len(words)
        return out

    def svg(self):
        parts = [text(LEFT - 46, 26, self.arguments.title, 15, colour="#1a1f27", more='font-weight="600"')]
        parts += self.legend() + self.axes()
        for i, (_, runs, merged) in reversed(list(enumerate(self.groups))):
            parts += self.curve(i, merged, runs > 1)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
                f'height="{HEIGHT}" font-family="system-ui, sans-serif" role="img"><title>'
                f"{escape(self.arguments.title)}</title><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
                + "\n".join(parts) + "\n</svg>\n")


def read_group(words, arguments):
    name, equals, paths = words.partition("=")
    if not equals or not paths:
        sys.exit(f"`{words}`: expected NAME=RUN[,RUN...]")
    folders = [found for pattern in paths.split(",") for found in sorted(glob.glob(pattern)) or sys.exit(
        f"{pattern}: no such run")]
    runs = [read_run(folder, arguments.metric, arguments.event, arguments.x) for folder in folders]
    if arguments.smooth:
        runs = [smoothed(run, arguments.smooth) for run in runs]
    merged = merge(runs, arguments.x)
    if not merged:
        sys.exit(f"{name}: its runs have no {arguments.x} in common")
    return name, len(runs), merged


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("groups", nargs="+", metavar="NAME=RUN[,RUN...]")
    parser.add_argument("--metric", default="loss")
    parser.add_argument("--event")
    parser.add_argument("--x", choices=["step", "tokens", "seconds"], default="step")
    parser.add_argument("--smooth", type=int, default=0, metavar="N", help="mean over N neighbours on both sides")
    parser.add_argument("--log", action="store_true")
    parser.add_argument("--title")
    parser.add_argument("--y-label")
    parser.add_argument("--range", type=float, nargs=2, metavar=("LOW", "HIGH"))
    arguments = parser.parse_args()
    arguments.y_label = arguments.y_label or arguments.metric
    arguments.title = arguments.title or f"{arguments.y_label} by {arguments.x}"
    groups = [read_group(words, arguments) for words in arguments.groups]
    arguments.out.write_text(Chart(groups, arguments).svg())
    print(f"{'':<24} {'runs':>4} {'at ' + arguments.x:>12} {'mean':>10} {'least':>10} {'greatest':>10}")
    for name, runs, merged in groups:
        x, mean, low, high = merged[-1]
        print(f"{name:<24} {runs:>4} {x:>12g} {mean:>10.4g} {low:>10.4g} {high:>10.4g}")


if __name__ == "__main__":
    main()
