"""Results of a quantization as text and JSON, with files of changed labels and layer errors.

    write_flips(quantized, folder)                  # flips.csv and flips.png, beside the artifact
    result = summary(quantized, path, measurement, gates=Gates(max_drop_points=0.3))
    result = with_layers(result, errors, artifact_path)     # also writes NAME.layers.csv and NAME.layers.png
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefer import files
from edgefer.errors import ThresholdNotMet
from edgefer.results import schema
from edgefer.results.evaluation import Accuracy
from edgefer.results.measurement import Measurement
from edgefer.text_table import WIDTH, Result, table
from edgefer.workstation.plots.curves import draw_layers
from edgefer.workstation.plots.faces import draw_label_changes
from edgefer.workstation.quantization.flatbuffer_editor import weight_bytes
from edgefer.workstation.quantization.sensitivity import Distance, LayerError, sensitive_layers
from edgefer.workstation.quantization.temperature_scaling import TemperatureFit
from edgefer.workstation.workflows.quantize import Quantized

__all__ = ["Gates", "combine_results", "summary", "with_layers", "write_flips"]

@dataclass(frozen=True)
class Gates:
    """Bounds that a quantized model has to keep; None sets none.

    Attributes:
        max_drop_points: accuracy that may be lost against the float parent, in percentage points.
        min_accuracy_percent: accuracy that must be reached, in percent.
        max_bytes: size of the file, contract included.
    """

    max_drop_points: float | None = None
    min_accuracy_percent: float | None = None
    max_bytes: int | None = None

    def broken(self, quantized: Quantized, *, file_bytes: int) -> list[str]:
        """What is worse than its bound, one clause each."""
        drop, accuracy = -quantized.verdict.difference_points, 100 * (quantized.evaluation.accuracy.share or 0.0)
        found = []
        if self.max_drop_points is not None and drop > self.max_drop_points:
            found.append(f"{drop:.2f} points were lost, {self.max_drop_points:g} may be")
        if self.min_accuracy_percent is not None and accuracy < self.min_accuracy_percent:
            found.append(f"accuracy is {accuracy:.2f} %, {self.min_accuracy_percent:g} % was asked for")
        if self.max_bytes is not None and file_bytes > self.max_bytes:
            found.append(f"the file has {file_bytes:,} bytes, {self.max_bytes:,} may be")
        return found


def write_flips(quantized: Quantized, artifact: Path) -> tuple[Path, Path]:
    """Write the images that changed their label beside ``artifact``: as csv, and the first 50 as a picture.

    The picture shows faces of the data set, so it is for the user's disk and for nobody else's.
    """
    names, rows = quantized.artifact.labels, quantized.images.rows
    lines = ["row,label,float_label,label_now,float_probability,probability_now"]
    for flip in quantized.flips:
        answers = f"{names[flip.label]},{names[flip.parent]},{names[flip.own]}"
        lines.append(f"{rows[flip.index]},{answers},{flip.parent_probability:.4f},{flip.own_probability:.4f}")
    table_path, picture_path = (artifact.with_suffix(f".flips.{kind}") for kind in ("csv", "png"))
    files.write_text(table_path, "\n".join(lines) + "\n")
    draw_label_changes(quantized.images.faces, quantized.flips, picture_path, label_names=names)
    return table_path, picture_path


def summary(quantized: Quantized, path: Path, measurement: Measurement, *, gates: Gates) -> Result:
    """The verdict on the artifact that was written to ``path``; a broken gate becomes the result's failure."""
    artifact, verdict, file_bytes = quantized.artifact, quantized.verdict, path.stat().st_size
    broken = gates.broken(quantized, file_bytes=file_bytes)
    record = {
        **schema.header("quantization", 1),
        "path": str(path),
        "sha256": artifact.sha256,
        "scheme": artifact.scheme,
        "model_bytes": len(artifact.model),
        "weight_bytes": weight_bytes(artifact.model),
        "file_bytes": file_bytes,
        "golden_tolerance": artifact.golden.tolerance,
        "confidence": dataclasses.asdict(quantized.confidence),
        "provenance": artifact.provenance,
        "verdict": verdict.to_json(),
        "parent": quantized.parent.to_json(),
        "evaluation": quantized.evaluation.to_json(),
        "measurement": measurement.to_json(),
        "gates_broken": broken,
    }
    failure = None
    if broken:
        failure = ThresholdNotMet("; ".join(broken), why=f"{path} is kept", hint="a looser bound, or more training")
    return Result(record, _text(quantized, path, measurement), failure)


def combine_results(results: Sequence[Result]) -> Result:
    """The results of several schemes of one run as one record and one table; the first broken gate is the failure."""
    made = [result.record for result in results]
    split = made[0]["evaluation"]["split"]
    rows = [
        [
            each["scheme"],
            f"{each['file_bytes'] / 1024:,.0f}",
            f"{100 * each['evaluation']['accuracy']['share']:.2f}",
            f"{each['verdict']['difference_points']:+.2f} "
            "({:+.2f} to {:+.2f})".format(*each["verdict"]["difference_interval_95_points"]),
            f"{each['verdict']['mcnemar_p']:.2g}",
            f"{100 * each['verdict']['agreement']:.2f}",
            f"{each['measurement']['invoke']['p50_us']:,.0f}",
        ]
        for each in made
    ]
    headers = ["scheme", "KiB", f"{split}, %", "points (95 %)", "p", "agree, %", "p50, us"]
    text = "\n".join(
        [
            table(headers, rows),
            "\npoints, McNemar's p and agreement are against the float parent, image by image",
            *(str(each["path"]) for each in made),
        ]
    )
    failures = [result.failure for result in results if result.failure is not None]
    record = {**schema.header("quantizations", 1), "quantizations": made}
    return Result(record, text, failures[0] if failures else None)


def _text(quantized: Quantized, path: Path, measurement: Measurement) -> str:
    artifact, verdict, own = quantized.artifact, quantized.verdict, quantized.evaluation
    scored = (("float parent", quantized.parent, verdict.parent_ece), (artifact.scheme, own, verdict.own_ece))
    rows = [
        [name, _bounds(each.accuracy), _bounds(each.unseen), f"{100 * each.macro_f1:.1f}", f"{100 * error:.1f}"]
        for name, each, error in scored
    ]
    classes = [
        [each.label, each.n, each.parent_correct, each.own_correct, _signed(each.delta_points)]
        for each in verdict.per_class
    ]
    low, high = verdict.interval_points
    findings = (
        f"{_signed(verdict.difference_points)} points (95 %: {low:+.2f} to {high:+.2f}), McNemar p = "
        f"{verdict.p_value:.2g}: {verdict.only_parent} images only the parent has right, {verdict.only_own} only "
        f"{artifact.scheme}. The same label for {verdict.agreement:.2%} of {verdict.n:,} images; the "
        f"{len(quantized.flips)} changes are in {path.with_suffix('.flips.csv').name}."
    )
    sizes = f"{path.stat().st_size:,} bytes, of which {len(artifact.model):,} are the model"
    speed = f"{measurement.p50_us:.1f} us p50 with {measurement.runtime} on this machine, one thread"
    return "\n".join(
        [
            f"{path}\n{sizes}\n{speed}\n",
            table(["", f"{own.split}, %", "no twins, %", "macro-F1, %", "ECE, %"], rows),
            f"\n{textwrap.fill(findings, WIDTH)}\n",
            f"{textwrap.fill(_confidence(quantized.confidence, artifact.scheme), WIDTH)}\n",
            table(["class", "n", "right before", "right now", "points"], classes),
            "\nnext: edgefer bench --device",
        ]
    )


def _confidence(found: TemperatureFit, scheme: str) -> str:
    bound = ", where the search ends" if found.at_bound else ""
    return (
        f"The ECE above is of both without a temperature. {scheme} gets {found.temperature:g}{bound}, fitted on these "
        f"images: ECE {100 * found.ece:.1f} % without it, {100 * found.calibrated_ece:.1f} % with it, each half of the "
        "images by the temperature of the other."
    )


def _bounds(accuracy: Accuracy | None) -> str | None:
    """An accuracy with its 95 % interval in percent: "65.34 (63.8 to 66.9)"."""
    if accuracy is None or accuracy.share is None or accuracy.interval is None:
        return None
    low, high = accuracy.interval
    return f"{100 * accuracy.share:.2f} ({100 * low:.1f} to {100 * high:.1f})"


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.2f}"


MEASURES = [each.name for each in dataclasses.fields(Distance)]
COLUMNS = (
    "index", "kind", "layer", *(f"activation_{name}" for name in MEASURES), *(f"weight_{name}" for name in MEASURES),
    "float_gain_db",
)  # fmt: skip


def with_layers(result: Result, errors: Sequence[LayerError], artifact: Path) -> Result:
    """``result`` with the layers in its record and, above its last line, in its text; writes csv and bars."""
    table_path, picture_path = (artifact.with_suffix(f".layers.{kind}") for kind in ("csv", "png"))
    rows = [_row(error) for error in errors]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    files.write_text(table_path, text.getvalue())
    named = sensitive_layers({error.layer: error.gain_db for error in errors if error.gain_db is not None})
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
    told = "\n".join([before, _layers_text(errors, named), where, what_next])
    return dataclasses.replace(result, record=record, text=told)


def _row(error: LayerError) -> list[object]:
    distances = [error.activation, error.weights]
    measures = [getattr(each, name) if each else None for each in distances for name in MEASURES]
    # Infinity, of a layer without any error, is not JSON.
    known = [value if value is None or math.isfinite(value) else None for value in (*measures, error.gain_db)]
    return [error.index, error.kind, error.layer, *known]


def _layers_text(errors: Sequence[LayerError], named: Sequence[str]) -> str:
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
