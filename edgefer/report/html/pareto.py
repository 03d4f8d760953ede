"""Accuracy against latency against bytes: the points, which of them nothing beats, and the plot that shows them.

    points(evidence), front(points, "p50_us")
    pareto_section(evidence)                        # plot.js draws what data_of(points) says
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from edgefer.report.comparison import Row
from edgefer.report.html.markup import Html, element, joined, number, section, table
from edgefer.report.html.page_data import ReportData, device_name

__all__ = ["Point", "data_of", "front", "pareto_section", "points"]

AXES = {
    "p50_us": "latency p50, us", "p90_us": "latency p90, us", "instructions": "instructions of an inference",
    "file_bytes": "size of the file, bytes",
}  # fmt: skip
EVERY = ""
# A longer table would be in the way of what comes after it.
MOST_ROWS = 24
HEADERS = (
    "model", "scheme", "device", "accuracy, %", "95 % interval", "p50, us", "p90, us", "million instructions", "KiB",
    "nothing beats it in",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One model on one device; what is not known is None.

    Attributes:
        model, scheme: what it is.
        device: with runtime and threads, or None where it ran on none.
        images: what the accuracy was taken on.
        accuracy, low, high: in percent, with the 95 % interval.
        p50_us, p90_us: latency of the model alone.
        instructions: of an inference, on an emulated board.
        file_bytes: contract included.
    """

    model: str
    scheme: str
    device: str | None
    images: str
    accuracy: float
    low: float
    high: float
    p50_us: float | None
    p90_us: float | None
    instructions: int | None
    file_bytes: int | None


def points(evidence: ReportData) -> tuple[Point, ...]:
    """All models whose accuracy is known together with a latency, a count or a size; one a device."""
    found = []
    for row in (row for group in evidence.groups for row in group.rows):
        point = _point(row)
        if point is not None:
            found += [point, *_counted(point, row, evidence)]
    whole = list(dict.fromkeys(each for each in found if each.device or each.file_bytes is not None))
    timed = {(each.model, each.scheme, each.images) for each in whole if each.device}
    # What was run somewhere needs no mark without a place.
    return tuple(each for each in whole if each.device or (each.model, each.scheme, each.images) not in timed)


def front(among: Sequence[Point], axis: str) -> tuple[Point, ...]:
    """The points to which no other is at least as good both ways and better in one, by ``axis``, least first."""
    known = [each for each in among if getattr(each, axis) is not None]
    ordered = sorted(known, key=lambda each: (getattr(each, axis), -each.accuracy))
    kept: list[Point] = []
    for each in ordered:
        if not kept or each.accuracy > kept[-1].accuracy or _ties(each, kept[-1], axis):
            kept.append(each)
    return tuple(kept)


def pareto_section(evidence: ReportData) -> Html | None:
    """The plot with its choices, and the same as a table; None without any point."""
    found = points(evidence)
    if not found:
        return None
    plot = element("div", id="plot", class_="drawing")
    tooltip = element("div", id="tooltip", role="tooltip", hidden="hidden")
    note = element("noscript", element("p", "The plot needs JavaScript; the table has all of it."))
    data = element("script", data_of(found), type="application/json", id="points")
    about = (
        "Up is more accurate, left is faster or smaller; several devices are drawn one below the other. The line joins "
        "the models that nothing on that device beats in both. Colour and shape are the scheme; point at a mark, or "
        "reach it with the Tab key, to read it."
    )
    keys = element("div", id="keys", class_="keys", aria_hidden="true")
    drawn = element("figure", plot, tooltip, keys, element("figcaption", about))
    rows = [_row(each, found) for each in found]
    whole = table("Accuracy, latency and size", HEADERS, rows, text=3)
    if len(rows) > MOST_ROWS:
        whole = element("details", element("summary", f"All of it as a table, {len(rows)} rows"), whole)
    return section("pareto", "Accuracy against latency and size", _choices(found), drawn, note, whole, data)


def data_of(found: Sequence[Point]) -> Html:
    """What plot.js reads; no end of a script element can stand in it."""
    text = json.dumps({"points": [asdict(each) for each in found], "axes": AXES}, ensure_ascii=True, sort_keys=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(text)


def _point(row: Row) -> Point | None:
    scored, timed = row.evaluation, row.measurement
    if scored is None or scored.accuracy.interval is None:
        return None
    low, high = scored.accuracy.interval
    size = row.file_bytes
    return Point(
        model=row.model,
        scheme=row.scheme,
        device=device_name(timed) if timed else None,
        images=f"{scored.split} of {scored.data}, {scored.n:,} images",
        accuracy=100 * (scored.accuracy.share or 0.0),
        low=100 * low,
        high=100 * high,
        p50_us=timed.p50_us if timed else None,
        p90_us=timed.p90_us if timed else None,
        instructions=None,
        file_bytes=size if isinstance(size, int) and size > 0 else None,
    )


def _counted(point: Point, row: Row, evidence: ReportData) -> Iterator[Point]:
    """The same model on the emulated boards that counted its instructions."""
    for counted in evidence.results.arm64:
        if counted.sha256 is None or counted.sha256 != row.subject.get("sha256"):
            continue
        for runtime, boards in counted.instructions.items():
            for board, count in boards.items():
                device = f"{board}, emulated, {runtime}, 1 thread"
                yield replace(point, device=device, p50_us=None, p90_us=None, instructions=count)


def _ties(one: Point, other: Point, axis: str) -> bool:
    return (one.accuracy, getattr(one, axis)) == (other.accuracy, getattr(other, axis))


def _choices(found: Sequence[Point]) -> Html:
    axes = {name: title for name, title in AXES.items() if any(getattr(each, name) is not None for each in found)}
    devices = dict.fromkeys(each.device for each in found if each.device)
    images = dict.fromkeys(each.images for each in found)
    return element(
        "form",
        _select("axis", "Across", axes),
        _select("device", "Device", {EVERY: "all of them", **{each: each for each in devices}}),
        _select("images", "Accuracy on", {each: each for each in images}),
        class_="choices",
        # Without JavaScript there is nothing to choose.
        hidden="hidden",
        id="choices",
    )


def _select(name: str, title: str, options: dict[str, str]) -> Html:
    told = [element("option", text, value=value) for value, text in options.items()]
    return element("label", element("span", title), element("select", joined(told), id=f"choose-{name}"))


def _row(point: Point, found: Sequence[Point]) -> list[object]:
    rivals = [each for each in found if each.images == point.images]
    near = [each for each in rivals if each.device == point.device]
    fields = {"latency": "p50_us", "instructions": "instructions"}
    ahead = [name for name, field in fields.items() if point in front(near, field)]
    ahead += ["size"] * (point in front(rivals, "file_bytes"))
    size = None if point.file_bytes is None else number(point.file_bytes / 1024, 1)
    interval = f"{point.low:.1f} to {point.high:.1f}"
    accuracy = number(point.accuracy)
    millions = None if point.instructions is None else point.instructions / 1e6
    times = [number(point.p50_us, 1), number(point.p90_us, 1), number(millions)]
    return [point.model, point.scheme, point.device, accuracy, interval, *times, size, ", ".join(ahead) or None]
