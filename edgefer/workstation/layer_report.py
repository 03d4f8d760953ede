"""The per-layer error of a quantized model as a table, bars and a sentence that names the culprits.

    result = with_layers(result, errors, artefact_path)     # also writes NAME.layers.csv and NAME.layers.png
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from edgefer import atomic
from edgefer.result import WIDTH, Result, table
from edgefer.workstation.layer_errors import Distance, LayerError, culprits
from edgefer.workstation.pictures import draw_layers

__all__ = ["with_layers"]

MEASURES = [each.name for each in dataclasses.fields(Distance)]
COLUMNS = (
    "index", "kind", "layer", *(f"activation_{name}" for name in MEASURES), *(f"weight_{name}" for name in MEASURES),
    "float_gain_db",
)  # fmt: skip


def with_layers(result: Result, errors: Sequence[LayerError], artefact: Path) -> Result:
    """``result`` with the layers in its record and, above its last line, in its text; writes csv and bars."""
    table_path, picture_path = (artefact.with_suffix(f".layers.{kind}") for kind in ("csv", "png"))
    rows = [_row(error) for error in errors]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    atomic.write_text(table_path, text.getvalue())
    named = culprits({error.layer: error.gain_db for error in errors if error.gain_db is not None})
    decibels: dict[str, list[float | None]] = {
        "activations": [error.activation.snr_db for error in errors],
        "weights": [error.weights.snr_db if error.weights else None for error in errors],
        "gain of the logits if left float": [error.gain_db for error in errors],
    }
    shown = {name: values for name, values in decibels.items() if any(value is not None for value in values)}
    draw_layers([error.layer for error in errors], shown, picture_path, named=named)
    before, _, what_next = result.text.rpartition("\n")
    record = {**result.record, "layers": [dict(zip(COLUMNS, row)) for row in rows], "culprits": list(named)}
    where = textwrap.fill(f"all of it is in {table_path.name} and {picture_path.name}", WIDTH, break_on_hyphens=False)
    told = "\n".join([before, _text(errors, named), where, what_next])
    return dataclasses.replace(result, record=record, text=told)


def _row(error: LayerError) -> list[object]:
    distances = [error.activation, error.weights]
    measures = [getattr(each, name) if each else None for each in distances for name in MEASURES]
    # Infinity, of a layer without any error, is not JSON.
    known = [value if value is None or math.isfinite(value) else None for value in (*measures, error.gain_db)]
    return [error.index, error.kind, error.layer, *known]


def _text(errors: Sequence[LayerError], named: Sequence[str]) -> str:
    rows = [
        [
            error.layer[-30:],
            f"{error.activation.snr_db:.1f}",
            f"{error.activation.cosine:.4f}",
            f"{100 * error.activation.saturation:.2f}",
            f"{error.weights.snr_db:.1f}" if error.weights else None,
            f"{error.gain_db:+.1f}" if error.gain_db is not None else None,
        ]
        for error in errors
    ]
    asked = any(error.gain_db is not None for error in errors)
    found = f"culprits: {', '.join(named)}" if named else "no layer alone costs the logits 1 dB"
    found = textwrap.fill(found, WIDTH, break_on_hyphens=False)
    headers = ["layer", "SNR, dB", "cosine", "clip, %", "weights, dB", "if float"]
    return table(headers, rows) + (f"\n{found}" if asked else "")
