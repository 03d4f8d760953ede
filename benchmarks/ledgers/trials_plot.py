"""The trainings of the search, drawn as accuracy against the size of the int8 file.

    trials_svg(trials)                              # an <svg> element, for a file or inside a page
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgefer.report.html.charts import log_ticks, ticks
from edgefer.report.html.markup import Html, element
from ledgers.trials import Trial

__all__ = ["trials_svg"]

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 34, 48
NAME_HEIGHT, NAME_WIDTH = 15, 7.2
# The drawing has its own background, so it is readable on any page. Blue and vermilion are from the palette of Okabe
# and Ito; shipped models also differ in shape and size.
STYLE = """
.trials { --paper: #fcfcfb; --ink: #1b1f23; --soft: #57606a; --rule: #d0d7de; --tried: #56b4e9; --ships: #d55e00; }
@media (prefers-color-scheme: dark) {
  .trials { --paper: #1c2024; --ink: #e6e9ec; --soft: #a5adb5; --rule: #3a4148; --tried: #56b4e9; --ships: #f0883e; }
}
.trials .background { fill: var(--paper); stroke: var(--rule); }
.trials text { fill: var(--soft); font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.trials .grid { stroke: var(--rule); }
.trials .axis { stroke: var(--soft); }
.trials .tried { fill: var(--tried); stroke: var(--ink); stroke-width: .8; }
.trials .ships { fill: var(--ships); stroke: var(--ink); stroke-width: 1.2; }
.trials .name { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
"""
DIAMOND = "M0,-9 L8,0 L0,9 L-8,0 Z"


def trials_svg(trials: Sequence[Trial]) -> Html:
    """Draw PublicTest accuracy of the int8 models against file size (logarithmic), with names on shipped models."""
    known = _drawable(trials)
    content = _plot(known) if known else [element("text", "no trial has an int8 model", x=LEFT, y=TOP + 20)]
    ships = sum(trial.shipped for trial, _, _ in known)
    title = f"Accuracy against size of {len(known)} int8 models; the {ships} that ship are named"
    background = element("rect", x=0.5, y=0.5, width=WIDTH - 1, height=HEIGHT - 1, rx=8, class_="background")
    return element(
        "svg", element("title", title), element("style", Html(STYLE)), background, *content,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title,
        class_="trials",
    )  # fmt: skip


def _drawable(trials: Sequence[Trial]) -> list[tuple[Trial, float, float]]:
    """Return (trial, KiB, accuracy) of trials with both, shipped models last, so that no other mark covers them."""
    known = [
        (trial, trial.bytes / 1024, trial.public_int8_percent)
        for trial in trials
        if trial.bytes is not None and trial.public_int8_percent is not None
    ]
    return sorted(known, key=lambda entry: entry[0].shipped)


def _plot(known: Sequence[tuple[Trial, float, float]]) -> list[Html]:
    sizes, scores = [size for _, size, _ in known], [score for _, _, score in known]
    low, high = min(sizes) / 1.3, max(sizes) * 1.3
    levels = ticks(min(scores), max(scores))
    bottom = HEIGHT - BOTTOM

    def x(size: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * math.log(size / low) / math.log(high / low), 2)

    def y(score: float) -> float:
        return round(bottom - (bottom - TOP) * (score - levels[0]) / (levels[-1] - levels[0]), 2)

    drawing = []
    for level in levels:
        drawing.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(level), y2=y(level), class_="grid"))
        drawing.append(element("text", f"{level:g}", x=LEFT - 8, y=y(level) + 4.5, text_anchor="end"))
    drawing.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis"))
    for size in log_ticks(low, high):
        drawing.append(element("line", x1=x(size), x2=x(size), y1=bottom, y2=bottom + 5, class_="axis"))
        drawing.append(element("text", f"{size:,g}", x=x(size), y=bottom + 19, text_anchor="middle"))
    drawing.append(element("text", "int8 PublicTest accuracy, %", x=10, y=20))
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawing.append(element("text", "int8 file, KiB, logarithmic", x=middle, y=HEIGHT - 10, text_anchor="middle"))
    drawing += [_mark(trial, size, x(size), y(score)) for trial, size, score in known]
    return drawing + _names([(trial.name, x(size), y(score)) for trial, size, score in known if trial.shipped])


def _mark(trial: Trial, size: float, x: float, y: float) -> Html:
    ships = ", ships" if trial.shipped else ""
    text = f"{trial.name}{ships}: {trial.public_int8_percent:.2f} %, {size:,.0f} KiB; {trial.description}"
    title = element("title", text)
    if not trial.shipped:
        return element("circle", title, cx=x, cy=y, r=5, class_="tried")
    return element("path", title, d=DIAMOND, transform=f"translate({x},{y})", class_="ships")


def _names(marks: Sequence[tuple[str, float, float]]) -> list[Html]:
    """Place each name next to its mark, on the left near the right edge, and below a name that it would overlap."""
    taken: list[tuple[float, float, float]] = []
    names = []
    for name, x, y in sorted(marks, key=lambda mark: mark[2]):
        width = NAME_WIDTH * len(name)
        is_left = x + 14 + width > WIDTH - 6
        start = max(6.0, x - 14 - width) if is_left else x + 14
        baseline = y + 4.5
        stop = start + width
        while any(abs(baseline - other) < NAME_HEIGHT and start < end and begin < stop for begin, end, other in taken):
            baseline += NAME_HEIGHT
        taken.append((start, stop, baseline))
        anchor = {"x": round(stop, 2), "text_anchor": "end"} if is_left else {"x": round(start, 2)}
        names.append(element("text", name, **anchor, y=round(baseline, 2), class_="name"))
    return names
