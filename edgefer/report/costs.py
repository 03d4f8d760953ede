"""What quantizing has cost, from the records of ``edgefer quantize`` and ``edgefer verify``: one table over networks.

    costs = [cost_of(record) for record in records]
    costs_table(costs, least_agreements)

Each row compares a model with its own float parent, image by image, so rows of different networks stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.report.tables import Table

__all__ = ["Cost", "cost_of", "costs_table"]

SHORT = ("model", "scheme", "KiB", "points (95 %)", "same\nlabel", "kernels\nagree", "p50 us")
LEGEND = (
    "points: accuracy on {split} against the float parent; same label: on how many of its {n} images the two agree, "
    "in %; kernels agree: the least top-1 agreement, in %, of XNNPACK, built-in and reference kernels of all runtimes."
)


@dataclass(frozen=True)
class Cost:
    """One quantized model against its float parent.

    Attributes:
        system, scheme: what it is.
        sha256: of the flatbuffer.
        file_bytes: with the contract.
        weight_bytes: of its weights alone.
        split, n: what both were scored on.
        difference_points, interval_points: accuracy, in percentage points, with its 95 % interval.
        p_value: McNemar's.
        agreement: share of images with the same label.
        parent_ece, own_ece: expected calibration error, in 0..1, of both without a temperature.
        p50_us: median latency where it was made, one thread.
    """

    system: str
    scheme: str
    sha256: str
    file_bytes: int
    weight_bytes: int
    split: str
    n: int
    difference_points: float
    interval_points: tuple[float, float]
    p_value: float
    agreement: float
    parent_ece: float
    own_ece: float
    p50_us: float


def cost_of(record: Mapping[str, Any]) -> Cost:
    """Read one record of kind "quantization"; KeyError, TypeError or ValueError where it is damaged."""
    verdict = record["verdict"]
    low, high = verdict["difference_interval_95_points"]
    return Cost(
        system=str(record["provenance"]["system"]),
        scheme=str(record["scheme"]),
        sha256=str(record["sha256"]),
        file_bytes=int(record["file_bytes"]),
        weight_bytes=int(record["weight_bytes"]),
        split=str(record["evaluation"]["split"]),
        n=int(verdict["n"]),
        difference_points=float(verdict["difference_points"]),
        interval_points=(float(low), float(high)),
        p_value=float(verdict["mcnemar_p"]),
        agreement=float(verdict["agreement"]),
        parent_ece=float(verdict["parent_ece"]),
        own_ece=float(verdict["own_ece"]),
        p50_us=float(record["measurement"]["invoke"]["p50_us"]),
    )


def costs_table(costs: Sequence[Cost], least_agreements: Mapping[str, float]) -> Table:
    """One row a model, at least one; ``least_agreements`` by the sha256 of the flatbuffer."""
    rows = [
        [
            each.system,
            each.scheme,
            f"{each.file_bytes / 1024:,.0f}",
            "{:+.2f} ({:+.1f} to {:+.1f})".format(each.difference_points, *each.interval_points),
            f"{100 * each.agreement:.2f}",
            f"{100 * least_agreements[each.sha256]:.2f}" if each.sha256 in least_agreements else None,
            f"{each.p50_us:,.0f}",
        ]
        for each in costs
    ]
    splits = " or ".join(dict.fromkeys(each.split for each in costs))
    counts = " or ".join(dict.fromkeys(f"{each.n:,}" for each in costs))
    legend = LEGEND.format(split=splits, n=counts)
    headers = tuple(header.replace("\n", " ") for header in SHORT)
    return Table(headers, rows, legend, narrow=Table(SHORT, rows, legend))
