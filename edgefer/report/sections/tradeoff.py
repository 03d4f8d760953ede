"""The section on accuracy against latency and file size, with the Pareto front.

    points(data), front(points, "p50_us")
    tradeoff_section(data)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from edgefer.report.comparison import Row
from edgefer.report.report_data import ReportData, device_name
from edgefer.report.sections.blocks import Block, CellContent, DataTable, Details, ScatterPlot, Section, number

__all__ = ["Point", "front", "points", "tradeoff_section"]

AXES = {"p50_us": "latency p50, us", "p90_us": "latency p90, us", "file_bytes": "file size, bytes"}
# A longer table is folded to keep the page short.
MAX_ROWS = 24
HEADERS = (
    "model", "scheme", "device", "accuracy, %", "95 % interval", "p50, us", "p90, us", "KiB", "Pareto-optimal in",
)  # fmt: skip
CAPTION = (
    "Up is more accurate; left is faster or smaller. Each device has its own plot. The line joins the models that no "
    "other model on that device beats in both. Color and shape show the scheme. Point at a mark, or move to it with "
    "the Tab key, to read its values."
)


@dataclass(frozen=True)
class Point:
    """One model on one device; unknown values are None.

    Attributes:
        model, scheme: the model.
        device: device, runtime and threads; None for a model without a measurement.
        images: description of the evaluated images.
        accuracy, low, high: accuracy in percent, with its 95 % interval.
        p50_us, p90_us: latency of the model alone, in microseconds.
        file_bytes: file size, including the contract.
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
    file_bytes: int | None


def points(data: ReportData) -> tuple[Point, ...]:
    """Return all models with an accuracy and a latency or a size, one point per device."""
    rows = [row for group in data.groups for row in group.rows]
    known = dict.fromkeys(point for point in map(_point, rows) if point is not None)
    complete = [point for point in known if point.device or point.file_bytes is not None]
    timed = {(point.model, point.scheme, point.images) for point in complete if point.device}
    # A measured model needs no second point without a device.
    return tuple(point for point in complete if point.device or (point.model, point.scheme, point.images) not in timed)


def front(among: Sequence[Point], axis: str) -> tuple[Point, ...]:
    """Return the Pareto front: points that no other point beats in accuracy without being worse in ``axis``.

    Args:
        among: the points.
        axis: field of Point to minimize.

    Returns:
        The front, in ascending order of ``axis``. Equal points are all part of it.
    """
    known = [point for point in among if getattr(point, axis) is not None]
    best: list[Point] = []
    for point in sorted(known, key=lambda point: (getattr(point, axis), -point.accuracy)):
        if not best or point.accuracy > best[-1].accuracy or _equal(point, best[-1], axis):
            best.append(point)
    return tuple(best)


def tradeoff_section(data: ReportData) -> Section | None:
    """Build the plot and the table of its points; return None without any point."""
    known = points(data)
    if not known:
        return None
    plot = ScatterPlot(
        caption=CAPTION,
        points=[asdict(point) for point in known],
        axes={name: title for name, title in AXES.items() if any(getattr(point, name) is not None for point in known)},
        devices=list(dict.fromkeys(point.device for point in known if point.device)),
        images=list(dict.fromkeys(point.images for point in known)),
    )
    rows = [_row(point, known) for point in known]
    table: Block = DataTable("Accuracy, latency and size", HEADERS, rows, text_columns=3)
    if len(rows) > MAX_ROWS:
        table = Details(f"All points as a table, {len(rows)} rows", [table])
    return Section("pareto", "Accuracy against latency and size", [plot, table])


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
        images=f"{scored.images_name}, {scored.n:,} images",
        accuracy=100 * (scored.accuracy.share or 0.0),
        low=100 * low,
        high=100 * high,
        p50_us=timed.p50_us if timed else None,
        p90_us=timed.p90_us if timed else None,
        file_bytes=size if isinstance(size, int) and size > 0 else None,
    )


def _equal(one: Point, other: Point, axis: str) -> bool:
    return (one.accuracy, getattr(one, axis)) == (other.accuracy, getattr(other, axis))


def _row(point: Point, known: Sequence[Point]) -> list[CellContent]:
    rivals = [other for other in known if other.images == point.images]
    same_device = [other for other in rivals if other.device == point.device]
    optimal = ["latency"] * (point in front(same_device, "p50_us"))
    optimal += ["size"] * (point in front(rivals, "file_bytes"))
    return [
        point.model,
        point.scheme,
        point.device,
        number(point.accuracy),
        f"{point.low:.1f} to {point.high:.1f}",
        number(point.p50_us, 1),
        number(point.p90_us, 1),
        None if point.file_bytes is None else number(point.file_bytes / 1024, 1),
        ", ".join(optimal) or None,
    ]
