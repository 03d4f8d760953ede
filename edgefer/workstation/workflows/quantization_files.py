"""Write the files of a quantization next to its artifact.

    write_label_changes(quantized, path)            # NAME.flips.csv, NAME.flips.png
    write_layers(layers, sensitive, path)           # NAME.layers.csv, NAME.layers.png
    remove_derived_files(path)                      # all of them, and NAME.card.md
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.workstation.plots.curves import draw_layers
from edgefer.workstation.plots.faces import draw_label_changes
from edgefer.workstation.quantization.sensitivity import Distance, LayerError
from edgefer.workstation.workflows.quantize import Quantized

__all__ = ["layer_record", "remove_derived_files", "write_label_changes", "write_layers"]

DERIVED_SUFFIXES = (".flips.csv", ".flips.png", ".layers.csv", ".layers.png", ".card.md")
MEASURES = [field.name for field in dataclasses.fields(Distance)]
COLUMNS = (
    "index", "kind", "layer", *(f"activation_{name}" for name in MEASURES), *(f"weight_{name}" for name in MEASURES),
    "float_gain_db",
)  # fmt: skip


def remove_derived_files(artifact: Path) -> None:
    """Remove the files next to ``artifact`` that describe an earlier model, which it has just replaced.

    Not every quantization writes all of them, and an interrupted one writes only some.
    """
    for suffix in DERIVED_SUFFIXES:
        artifact.with_suffix(suffix).unlink(missing_ok=True)


def write_label_changes(quantized: Quantized, artifact: Path) -> None:
    """Write the images whose label changed next to ``artifact``: all as csv, the first 50 as a figure.

    The picture shows faces of the data set; do not publish it unless their license permits it.
    """
    names, rows = quantized.artifact.labels, quantized.images.rows
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "label", "float_label", "label_now", "float_probability", "probability_now"])
    for change in quantized.label_changes:
        labels = (names[label] for label in (change.label, change.float_label, change.quantized_label))
        probabilities = (change.float_probability, change.quantized_probability)
        writer.writerow([rows[change.index], *labels, *(f"{probability:.4f}" for probability in probabilities)])
    files.write_text(artifact.with_suffix(".flips.csv"), text.getvalue())
    picture = artifact.with_suffix(".flips.png")
    draw_label_changes(quantized.images.faces, quantized.label_changes, picture, label_names=names)


def layer_record(error: LayerError) -> dict[str, Any]:
    """Return the plain values of one layer's errors, by the names in COLUMNS; infinite values become None."""
    distances = [error.activation, error.weights]
    measures = [getattr(distance, name) if distance else None for distance in distances for name in MEASURES]
    numbers = [value if value is None or math.isfinite(value) else None for value in (*measures, error.gain_db)]
    return dict(zip(COLUMNS, [error.index, error.kind, error.layer, *numbers], strict=True))


def write_layers(layers: Sequence[Mapping[str, Any]], sensitive: Sequence[str], artifact: Path) -> None:
    """Write the errors of all layers next to ``artifact``, as csv and as a bar chart.

    Args:
        layers: layer_record() of each layer.
        sensitive: names of the layers to highlight.
        artifact: path of the .tflite.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(layers)
    files.write_text(artifact.with_suffix(".layers.csv"), text.getvalue())
    series = {
        "activations": [layer["activation_snr_db"] for layer in layers],
        "weights": [layer["weight_snr_db"] for layer in layers],
        "gain of the logits if left float": [layer["float_gain_db"] for layer in layers],
    }
    optional = ("weights", "gain of the logits if left float")
    drawn = {
        name: values
        for name, values in series.items()
        if name not in optional or any(value is not None for value in values)
    }
    plot = artifact.with_suffix(".layers.png")
    draw_layers([layer["layer"] for layer in layers], drawn, plot, named=sensitive)
