"""Render quantizations and calibration sets as text for a terminal.

    quantization_text(quantization)                 # files, scores, change from the float network, classes, next step
    quantizations_text([first, second])             # one table of several schemes
    calibration_set_text(record)
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from edgefer.contract.split_names import split_phrase
from edgefer.data.naming import counted
from edgefer.results.accuracy_search import AccuracySearch
from edgefer.results.calibration_stability import CalibrationStability
from edgefer.results.evaluation import Accuracy
from edgefer.results.quantization import Quantization
from edgefer.results.temperature_scaling import TemperatureFit
from edgefer.text_table import WIDTH, percent, table

__all__ = ["calibration_set_text", "quantization_text", "quantizations_text"]


def quantization_text(quantization: Quantization) -> str:
    """Render one quantization, with its search, its calibration trials and its layers if it has them."""
    paragraphs = [
        _search(quantization.search) if quantization.search else "",
        _files(quantization),
        _scores(quantization),
        _fill(_changes(quantization)),
        _fill(_temperature(quantization.confidence, quantization.scheme)) if quantization.confidence else "",
        "\n".join(
            [
                _classes(quantization),
                *([_stability(quantization.stability, quantization.evaluation.data)] if quantization.stability else []),
                *([_layers(quantization)] if quantization.layers else []),
                "",
                "next: edgefer bench --device",
            ]
        ),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def quantizations_text(quantizations: Sequence[Quantization]) -> str:
    """Render several quantizations of one network as one table."""
    rows = [
        [
            quantization.scheme,
            f"{quantization.file_bytes / 1024:,.0f}",
            f"{100 * (quantization.evaluation.accuracy.share or 0.0):.2f}",
            _points(quantization.comparison.difference_points, quantization.comparison.interval_points),
            f"{quantization.comparison.p_value:.2g}",
            f"{100 * quantization.comparison.agreement:.2f}",
            f"{quantization.measurement.p50_us:,.0f}",
        ]
        for quantization in quantizations
    ]
    headers = [
        "scheme", "KiB", f"{quantizations[0].evaluation.split_name}, %", "points (95 %)", "p", "agree, %", "p50, us",
    ]  # fmt: skip
    return "\n".join(
        [
            table(headers, rows),
            "",
            _fill("points, McNemar's p and agreement: each model against the float network, image by image"),
            *(quantization.path for quantization in quantizations),
        ]
    )


def calibration_set_text(record: Mapping[str, Any]) -> str:
    """Render a record of kind "calibration_set"."""
    classes = [[name, count, record["available"][name]] for name, count in record["classes"].items()]
    deciles = [[name, *record[f"{name}_tenths"]] for name in ("brightness", "contrast")]
    return "\n\n".join(
        [
            f"{record['path']}: {counted(record['faces'], 'face')}, sha256 {record['sha256']}",
            table(["class", "selected", "of"], classes),
            table(["decile", *map(str, range(1, 11))], deciles),
            _excluded(record),
        ]
    )


def _excluded(record: Mapping[str, Any]) -> str:
    return (
        f"Excluded from Training: {record['constant_images']:,} with a single gray value, "
        f"{record['images_with_a_twin']:,} exact duplicates.\n"
        f"next: edgefer quantize --int8 --calibration {shlex.quote(record['path'])}"
    )


def _files(quantization: Quantization) -> str:
    measurement = quantization.measurement
    return (
        f"{quantization.path}\n{quantization.file_bytes:,} bytes, of which {quantization.model_bytes:,} are the model\n"
        f"{measurement.p50_us:.1f} us p50 with {measurement.runtime} on this machine, one thread"
    )


def _scores(quantization: Quantization) -> str:
    comparison = quantization.comparison
    models = (
        ("float network", quantization.float_evaluation, comparison.float_ece),
        (quantization.scheme, quantization.evaluation, comparison.quantized_ece),
    )
    rows = [
        [
            name,
            _accuracy(evaluation.accuracy),
            _accuracy(evaluation.deduplicated),
            f"{100 * evaluation.macro_f1:.1f}",
            f"{100 * ece:.1f}",
        ]
        for name, evaluation, ece in models
    ]
    headers = ["", f"{quantization.evaluation.split_name}, %", "no duplicates, %", "macro-F1, %", "ECE, %"]
    return table(headers, rows)


def _changes(quantization: Quantization) -> str:
    comparison, scheme = quantization.comparison, quantization.scheme
    changes = round((1 - comparison.agreement) * comparison.n)
    low, high = comparison.interval_points
    file = PurePath(quantization.path).with_suffix(".flips.csv").name
    return (
        f"{comparison.difference_points:+.2f} points (95 %: {low:+.2f} to {high:+.2f}), "
        f"McNemar p = {comparison.p_value:.2g}: only the float network is correct on "
        f"{counted(comparison.only_float, 'image')}, only {scheme} on {comparison.only_quantized:,}. Both give "
        f"{comparison.agreement:.2%} of {counted(comparison.n, 'image')} the same label; {file} lists the "
        f"{counted(changes, 'change')}."
    )


def _temperature(fit: TemperatureFit, scheme: str) -> str:
    bound = ", the bound of the fit" if fit.at_bound else ""
    return (
        f"The ECE above is that of the bare logits. The temperature of {scheme} is {fit.temperature:g}{bound}, fitted "
        f"on these images: ECE {100 * fit.ece:.1f} % without it, {100 * fit.calibrated_ece:.1f} % with it, "
        "cross-validated on two halves."
    )


def _classes(quantization: Quantization) -> str:
    rows = [
        [delta.label, delta.n, delta.float_correct, delta.quantized_correct, _signed(delta.delta_points)]
        for delta in quantization.comparison.per_class
    ]
    return table(["class", "n", "correct before", "correct now", "points"], rows)


def _stability(stability: CalibrationStability, data: str) -> str:
    low, high = (100 * bound(stability.accuracies) for bound in (min, max))
    text = (
        f"{len(stability.correct)} disjoint sets of {stability.size:,} calibration faces: {low:.2f} to {high:.2f} %, "
        f"std {stability.std_points:.2f} points; two such models give the same label to "
        f"{percent(stability.agreement)} of {stability.n:,} images of {split_phrase(stability.split, data=data)}"
    )
    return f"\n{_fill(text)}"


def _layers(quantization: Quantization) -> str:
    rows = [
        [
            layer["layer"][-30:],
            _number(layer["activation_snr_db"], ".1f"),
            _number(layer["activation_cosine"], ".4f"),
            _number(layer["activation_saturation"], ".2f", 100),
            _number(layer["weight_snr_db"], ".1f"),
            _number(layer["float_gain_db"], "+.1f"),
        ]
        for layer in quantization.layers
    ]
    headers = ["layer", "SNR, dB", "cosine", "clip, %", "weights, dB", "if float"]
    return "\n".join(["", table(headers, rows), *_sensitive_layers(quantization)])


def _sensitive_layers(quantization: Quantization) -> Iterator[str]:
    names = quantization.sensitive_layers
    if names:
        yield _fill(f"sensitive layers: {', '.join(names)}")
    elif any(layer["float_gain_db"] is not None for layer in quantization.layers):
        yield "no single layer reduces the logit SNR by 1 dB"
    table_name, plot_name = (PurePath(quantization.path).with_suffix(f".layers.{kind}").name for kind in ("csv", "png"))
    yield _fill(f"all layers: {table_name}, {plot_name}")


def _search(search: AccuracySearch) -> str:
    first, last = search.candidates[0], search.candidates[-1]
    methods = [
        [
            method.name,
            f"{100 * min(method.accuracies):.2f} to {100 * max(method.accuracies):.2f}",
            f"{method.agreement:.2%}",
            f"{method.float_agreement:.2%}",
        ]
        for method in search.methods
    ]
    candidates = [
        [
            candidate.name,
            _points(candidate.difference_points, candidate.interval_points),
            f"{candidate.agreement:.2%}",
            f"{candidate.model_bytes / 1024:,.0f}",
            "yes" if candidate.within_bound else "no",
        ]
        for candidate in search.candidates
    ]
    intro = (
        f"Each calibration method on {len(search.methods[0].accuracies)} disjoint calibration sets. Equal labels: mean "
        "over pairs of models, and minimum against the float network."
    )
    gain = (
        "gain over the plain converter: "
        f"{last.difference_points - first.difference_points:+.2f} points of accuracy,\n"
        f"{100 * (last.agreement - first.agreement):+.2f} points of agreement, "
        f"{(last.model_bytes - first.model_bytes) / 1024:+.1f} KiB"
    )
    return "\n".join(
        [
            _fill(intro),
            table(["method", "accuracy, %", "pairs", "float network"], methods),
            f"\nCandidates, until one loses at most {search.max_drop_points:g} points against the float network:",
            table(["int8", "points (95 %)", "agreement", "KiB", "within"], candidates),
            gain,
        ]
    )


def _accuracy(accuracy: Accuracy | None) -> str | None:
    """Format an accuracy with its 95 % interval in percent: "65.34 (63.8 to 66.9)"."""
    if accuracy is None or accuracy.share is None or accuracy.interval is None:
        return None
    low, high = accuracy.interval
    return f"{100 * accuracy.share:.2f} ({100 * low:.1f} to {100 * high:.1f})"


def _points(difference: float, interval: tuple[float, float]) -> str:
    return f"{difference:+.2f} ({interval[0]:+.2f} to {interval[1]:+.2f})"


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.2f}"


def _number(value: float | None, spec: str, factor: float = 1) -> str | None:
    return None if value is None else format(factor * value, spec)


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)
