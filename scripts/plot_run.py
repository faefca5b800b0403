#!/usr/bin/env python3
"""Draw a finished run as an SVG picture: the loss by tokens, and before/after against the teacher.

    plot_run.py RUN_FOLDER OUT.svg

Needs nothing but Python.
"""
import json
import pathlib
import sys
from html import escape

WIDTH, HEIGHT = 860, 330
INK, GREY, GRID, BLUE, PALE = "#1f2328", "#656d76", "#d8dee4", "#0969da", "#b6d4f5"


def text(x, y, words, size=13, anchor="start", colour=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def nice_ticks(low, high, count=5):
    span = (high - low) / count
    magnitude = 10.0 ** len(str(int(span))) / 10 if span >= 1 else 1.0
    while magnitude > span:
        magnitude /= 10
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= span)
    first = int(low / step) * step
    return [first + i * step for i in range(count + 3) if low <= first + i * step <= high]


def draw_loss(steps, left, top, width, height):
    tokens = [s["tokens"] for s in steps]
    losses = [s["loss"] for s in steps]
    # The first steps are far above the rest; the axis ends where the third one is.
    top_loss = sorted(losses)[-max(1, len(losses) // 40)]
    x = lambda t: left + width * t / tokens[-1]
    y = lambda v: top + height * (1 - min(v, top_loss) / top_loss)
    out = [text(left, top - 14, "Loss (KL to the teacher, nats a token) by training tokens", 14, weight="600")]
    for tick in nice_ticks(0, top_loss):
        out.append(f'<line x1="{left}" x2="{left + width}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{GRID}"/>')
        out.append(text(left - 6, y(tick) + 4, f"{tick:g}", 11, "end", GREY))
    for tick in nice_ticks(0, tokens[-1]):
        out.append(text(x(tick), top + height + 18, f"{int(tick):,}", 11, "middle", GREY))
    smooth, average = [], None
    for loss in losses:
        average = loss if average is None else 0.85 * average + 0.15 * loss
        smooth.append(average)
    for values, colour, stroke in ((losses, PALE, 1), (smooth, BLUE, 2.2)):
        points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in zip(tokens, values))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{stroke}"/>')
    return out


def draw_table(report, left, top):
    before, after = report["before"], report["after"]
    rows = [("", "teacher", "before", "after")]
    number = lambda v, digits: f"{v:,.0f}" if v >= 1000 else f"{v:.{digits}f}"
    rows.append(("perplexity", number(after["teacher_perplexity"], 1), number(before["perplexity"], 1),
                 number(after["perplexity"], 1)))
    rows.append(("KL to teacher", "0", number(before["kl_to_teacher"], 2), number(after["kl_to_teacher"], 2)))
    rows.append(("same top token", "100 %", f"{100 * before['top1_agreement']:.1f} %",
                 f"{100 * after['top1_agreement']:.1f} %"))
    out = [text(left, top - 14, "On text never trained on", 14, weight="600")]
    for i, row in enumerate(rows):
        y = top + 22 + 34 * i
        out.append(text(left, y, row[0], 13, colour=GREY))
        for j, (cell, offset) in enumerate(zip(row[1:], (150, 240, 310))):
            out.append(text(left + offset, y, cell, 13, "end", INK if i else GREY, "600" if j == 2 and i else "normal"))
        out.append(f'<line x1="{left}" x2="{left + 310}" y1="{y + 10}" y2="{y + 10}" stroke="{GRID}"/>')
    out.append(text(left, top + 190, f"{report['tokens']:,} tokens in {report['seconds'] / 60:.1f} minutes, "
                    f"{report['tokens_per_second']:.0f} tokens/s on the CPU", 12, colour=GREY))
    return out


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    run = pathlib.Path(sys.argv[1])
    report = json.loads((run / "report.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "event" not in line]
    parts = draw_loss(steps, 48, 48, 420, 230) + draw_table(report, 520, 48)
    pathlib.Path(sys.argv[2]).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join(parts) + "\n</svg>\n")


if __name__ == "__main__":
    main()
