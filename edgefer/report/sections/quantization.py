"""The sections on quantization: accuracy change, changed labels, classes and layers.

    accuracy_section(data), changes_section(data), classes_section(data), layers_section(data)

Each quantized model is compared with its own float network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgefer.report.report_data import ChangedImage, ReportData
from edgefer.report.sections.blocks import (
    Bar,
    Block,
    Cell,
    CellContent,
    Choice,
    DataTable,
    Details,
    Paragraph,
    Section,
    number,
    signed,
)
from edgefer.results.quantization import Quantization

__all__ = ["accuracy_section", "changes_section", "classes_section", "layers_section"]

ACCURACY_HEADERS = (
    "model", "scheme", "KiB", "float, %", "accuracy, %", "points (95 %)", "McNemar p", "same label, %",
    "kernels agree, %", "ECE, %", "ECE calibrated, %", "thresholds",
)  # fmt: skip
CHANGES_HEADERS = ("model", "scheme", "images", "changed", "corrected", "newly wrong", "wrong before and after")
IMAGE_HEADERS = ("row", "label", "float", "quantized", "float confidence, %", "quantized confidence, %")
CLASS_HEADERS = ("class", "n", "correct before", "correct now", "points", "95 % interval")
LAYER_HEADERS = ("layer", "operator", "SNR, dB", "cosine", "clipped, %", "weights, dB", "if float, dB")
SIGNIFICANT_P = 0.05
# A longer list takes long to open.
MAX_IMAGES = 1000
# An error this far below the signal does not affect labels.
FULL_BAR_DB = 60.0
CHANGES_NOTE = (
    "Corrected: only the quantized model is right. Newly wrong: only the float network is right. For the other changed "
    "images, both are wrong."
)
CLASSES_NOTE = (
    "The interval covers the images that changed. Records without their number get a wider interval, marked with ~."
)
LAYERS_NOTE = (
    "SNR: power of a layer's float output relative to its quantization error. If float: gain in logit SNR when only "
    "that layer stays float."
)


def accuracy_section(data: ReportData) -> Section | None:
    """Build one row per quantized model; return None without any."""
    if not data.quantizations:
        return None
    evaluations = [quantization.evaluation for quantization in data.quantizations]
    images = ", ".join(dict.fromkeys(evaluation.images_name for evaluation in evaluations))
    note = (
        f"Each model and its float network labeled the same images ({images}), so the difference is more precise than "
        "either accuracy. McNemar's p is the probability of a difference at least this large by chance; from 0.05 on, "
        "the difference is within chance and has no color. Same label: both models agree, right or wrong. ECE: "
        "expected calibration error of both models without a temperature. ECE calibrated: the quantized model with its "
        "temperature, cross-validated on two halves of the images."
    )
    rows = [_accuracy_row(quantization, data) for quantization in data.quantizations]
    table = DataTable("Accuracy change from the float network", ACCURACY_HEADERS, rows, text_columns=2)
    return Section("verdicts", "Quantized against float", [table, Paragraph(note)])


def changes_section(data: ReportData) -> Section | None:
    """Build the numbers of changed labels and lists of the images; return None without either."""
    listed = [(model.file, model.changes) for model in data.models if model.changes]
    if not data.quantizations and not listed:
        return None
    blocks: list[Block] = []
    if data.quantizations:
        rows = [_changes_row(quantization) for quantization in data.quantizations]
        table = DataTable("Images with a changed label", CHANGES_HEADERS, rows, text_columns=2)
        blocks = [table, Paragraph(CHANGES_NOTE)]
    note = "Row: row of the image in the data set. Images on which both models are most confident come first."
    if not listed:
        note = "The .flips.csv next to a model lists the images; edgefer report RUN --html FILE shows them here."
    parts = [Details(f"{file}: {len(changes):,} images", [_images(file, changes)]) for file, changes in listed]
    choice = [Choice("flips", "Images of", parts, selected=0)] if parts else []
    return Section("flips", "Changed labels", [*blocks, *choice, Paragraph(note)])


def classes_section(data: ReportData) -> Section | None:
    """Build the recall per class before and after, one table per model; return None without any."""
    if not data.quantizations:
        return None
    parts = [
        Details(f"{quantization.system}, {quantization.scheme}", [_classes(quantization)])
        for quantization in data.quantizations
    ]
    choice = Choice("classes", "Classes of", parts, selected=data.highlighted)
    return Section("classes", "Classes", [choice, Paragraph(CLASSES_NOTE)])


def layers_section(data: ReportData) -> Section | None:
    """Build one table per model that was quantized with --debug-layers; return None without any."""
    known = [quantization for quantization in data.quantizations if quantization.layers]
    if not known:
        return None
    parts = [
        Details(f"{quantization.system}, {quantization.scheme}", [_layers(quantization)]) for quantization in known
    ]
    return Section("layers", "Layers", [Paragraph(LAYERS_NOTE), Choice("layers", "Layers of", parts, selected=0)])


def _accuracy_row(quantization: Quantization, data: ReportData) -> list[CellContent]:
    comparison = quantization.comparison
    low, high = comparison.interval_points
    least = data.results.least_agreements.get(quantization.sha256)
    change = "better" if comparison.difference_points > 0 else "worse"
    style = change if comparison.p_value < SIGNIFICANT_P else None
    missed = "; ".join(quantization.missed_thresholds)
    calibrated = quantization.calibrated_ece
    return [
        quantization.system,
        quantization.scheme,
        number(quantization.file_bytes / 1024, 1),
        number(100 * comparison.float_correct / comparison.n),
        number(100 * comparison.quantized_correct / comparison.n),
        Cell(f"{signed(comparison.difference_points)} ({signed(low)} to {signed(high)})", style),
        f"{comparison.p_value:.2g}",
        number(100 * comparison.agreement),
        None if least is None else number(100 * least),
        f"{100 * comparison.float_ece:.1f} → {100 * comparison.quantized_ece:.1f}",
        None if calibrated is None else number(100 * calibrated, 1),
        Cell(f"missed: {missed}", "worse") if missed else "none missed",
    ]


def _changes_row(quantization: Quantization) -> list[CellContent]:
    comparison = quantization.comparison
    changed = round(comparison.n * (1 - comparison.agreement))
    counts = {"corrected": comparison.only_quantized, "newly-wrong": comparison.only_float}
    bars = [Cell(f"{count:,}", bar=Bar(count / max(1, changed), series)) for series, count in counts.items()]
    both_wrong = changed - sum(counts.values())
    return [quantization.system, quantization.scheme, f"{comparison.n:,}", f"{changed:,}", *bars, f"{both_wrong:,}"]


def _images(file: str, changes: Sequence[ChangedImage]) -> DataTable:
    rows: list[list[CellContent]] = [
        [
            change.row, change.label, _label(change.before, change.label), _label(change.now, change.label),
            f"{100 * change.before_probability:.1f}", f"{100 * change.now_probability:.1f}",
        ]
        for change in changes[:MAX_IMAGES]
    ]  # fmt: skip
    omitted = len(changes) - MAX_IMAGES
    more = f"; its .flips.csv lists {omitted:,} more" if omitted > 0 else ""
    return DataTable(f"Images whose label {file} changes{more}", IMAGE_HEADERS, rows, text_columns=4)


def _label(predicted: str, label: str) -> Cell:
    return Cell(predicted, "better" if predicted == label else None)


def _classes(quantization: Quantization) -> DataTable:
    rows: list[list[CellContent]] = []
    for delta in quantization.comparison.per_class:
        interval = delta.interval_points
        approximate = "~ " if delta.only_quantized is None else ""
        bounds = f"{approximate}{signed(interval[0])} to {signed(interval[1])}" if interval else None
        points = signed(delta.delta_points)
        rows.append([delta.label, f"{delta.n:,}", delta.float_correct, delta.quantized_correct, points, bounds])
    return DataTable(f"Recall per class of {quantization.system}, {quantization.scheme}", CLASS_HEADERS, rows)


def _layers(quantization: Quantization) -> DataTable:
    names = ", ".join(quantization.sensitive_layers)
    finding = f"sensitive layers: {names}" if names else "no single layer reduces the logit SNR by 1 dB"
    rows = [_layer_row(layer, quantization.sensitive_layers) for layer in quantization.layers]
    caption = f"{quantization.system}, {quantization.scheme}: {finding}"
    return DataTable(caption, LAYER_HEADERS, rows, text_columns=2)


def _layer_row(layer: Mapping[str, Any], sensitive: Sequence[str]) -> list[CellContent]:
    name = str(layer.get("layer"))
    snr, saturation = layer.get("activation_snr_db"), layer.get("activation_saturation")
    return [
        Cell(f"{name} (sensitive)", "strong") if name in sensitive else name,
        layer.get("kind"),
        "exact" if snr is None else Cell(f"{snr:.1f}", bar=Bar(snr / FULL_BAR_DB)),
        number(layer.get("activation_cosine"), 4),
        number(None if saturation is None else 100 * saturation),
        number(layer.get("weight_snr_db"), 1),
        signed(layer.get("float_gain_db"), 1),
    ]
