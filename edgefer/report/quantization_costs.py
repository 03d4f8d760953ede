"""The cost of quantization: accuracy, size and latency of quantized models, as a table and as plain values.

    costs_table(quantizations, least_agreements={})
    costs_to_json(quantizations)                    # for ``edgefer report --json``

Each row compares a model with its own float network, image by image, so one table can span several networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgefer.report.tables import Table
from edgefer.results.quantization import Quantization

__all__ = ["costs_table", "costs_to_json"]

HEADERS = ("model", "scheme", "KiB", "points (95 %)", "same\nlabel", "kernels\nagree", "p50 us")
LEGEND = (
    "points: accuracy on {split} minus that of the float network; same label: share of the {n} images, in %, that both "
    "models label alike; kernels agree: the lowest top-1 agreement, in %, between XNNPACK, built-in and reference "
    "kernels of all runtimes."
)


def costs_table(quantizations: Sequence[Quantization], least_agreements: Mapping[str, float]) -> Table:
    """Tabulate quantization costs, one row per model.

    Args:
        quantizations: at least one record.
        least_agreements: lowest top-1 agreement between kernels, in 0..1, by SHA-256 of the flatbuffer.
    """
    rows = [_row(quantization, least_agreements.get(quantization.sha256)) for quantization in quantizations]
    splits = " or ".join(dict.fromkeys(quantization.evaluation.split_phrase for quantization in quantizations))
    counts = " or ".join(dict.fromkeys(f"{quantization.comparison.n:,}" for quantization in quantizations))
    legend = LEGEND.format(split=splits, n=counts)
    headers = tuple(header.replace("\n", " ") for header in HEADERS)
    return Table(headers, rows, legend, narrow=Table(HEADERS, rows, legend))


def costs_to_json(quantizations: Sequence[Quantization]) -> list[dict[str, Any]]:
    """Return quantization costs as plain values, one mapping per model."""
    return [
        {
            "system": quantization.system,
            "scheme": quantization.scheme,
            "sha256": quantization.sha256,
            "file_bytes": quantization.file_bytes,
            "weight_bytes": quantization.weight_bytes,
            "split": quantization.evaluation.split,
            "n": quantization.comparison.n,
            "difference_points": quantization.comparison.difference_points,
            "interval_points": list(quantization.comparison.interval_points),
            "p_value": quantization.comparison.p_value,
            "agreement": quantization.comparison.agreement,
            "parent_ece": quantization.comparison.float_ece,
            "own_ece": quantization.comparison.quantized_ece,
            "p50_us": quantization.measurement.p50_us,
        }
        for quantization in quantizations
    ]


def _row(quantization: Quantization, least_agreement: float | None) -> list[str | None]:
    comparison = quantization.comparison
    low, high = comparison.interval_points
    return [
        quantization.system,
        quantization.scheme,
        f"{quantization.file_bytes / 1024:,.0f}",
        f"{comparison.difference_points:+.2f} ({low:+.1f} to {high:+.1f})",
        f"{100 * comparison.agreement:.2f}",
        None if least_agreement is None else f"{100 * least_agreement:.2f}",
        f"{quantization.measurement.p50_us:,.0f}",
    ]
