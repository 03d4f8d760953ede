"""Render the model card of an artifact: intended use, training data, accuracy, limits and boards.

    card(ModelCardData.of(quantization), run="runs/first")      # Markdown, for NAME.card.md beside NAME.tflite
    card(ModelCardData.of_file(artifact, file_bytes, results, quantizations))
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgefer.contract.split_names import split_phrase
from edgefer.escaping import escape_markdown, printable
from edgefer.report.commands import imported_from, quantize_command, settings_toml, teachers_of, train_command
from edgefer.report.model_card_data import ModelCardData
from edgefer.report.tables import DOCUMENT_WIDTH, escape_cells, markdown_lines
from edgefer.report.terminal.evaluation import accuracy_text
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement
from edgefer.results.paired_comparison import PairedComparison

__all__ = ["card"]

# Room for the indent and for the backslash of a folded command.
MAX_COMMAND = 112
FER2013_NAMES = ("fer2013.csv", "icml")
SYNTHETIC = "synthetic"
CLASS_HEADERS = ("class", "n", "precision, %", "recall, %", "F1, %", "recall change from float, points")
BENCHMARK_HEADERS = ("device", "runtime", "threads", "p50, us", "p90, us", "p99, us", "memory, MiB", "runs")

USE = (
    "Use this model to measure compact networks on boards, for teaching, and for interfaces that react to a visible "
    "expression and cause no harm when the model is wrong."
)
MISUSE = (
    "A perceived expression is not an emotion: the model classifies how a face looks, not what a person feels. Do not "
    "use it to judge people. In the European Union, inferring emotions at work and in schools is prohibited (AI Act, "
    "article 5) and most other uses of emotion recognition are high-risk (annex III)."
)
ABOUT_FER2013 = (
    'FER2013 (Goodfellow et al., "Challenges in Representation Learning", 2013) contains faces from web searches for '
    "emotion words; many of its labels are doubtful. edgefer has not established the license of the images and ships "
    "none of them; the terms of your source apply. The data set does not describe the people it shows, so it is "
    "unknown for which groups this model performs worse."
)
ABOUT_SYNTHETIC = (
    "edgefer draws synthetic faces. They show no person and need no license. Scores on them do not apply to "
    "photographs."
)
ABOUT_CUSTOM = (
    "These are custom data. Their license, and the consent of the people in them, are the responsibility of the person "
    "who trained this model. The contract does not describe these people, so it is unknown for which groups this model "
    "performs worse."
)


def card(data: ModelCardData, *, run: str | None = None, board_notes: Sequence[str] = ()) -> str:
    """Render a model card as Markdown.

    Args:
        data: the facts.
        run: the run folder of the model; without it the card includes the training command and settings too.
        board_notes: further blocks of Markdown for the section on boards, such as tables that the caller rendered.
    """
    parts = [
        f"# {escape_markdown(data.system)}, {escape_markdown(data.scheme)}",
        *_head(data),
        "## Intended use and limits of use",
        _filled(USE),
        _filled(MISUSE),
        "## Data and license",
        *_data(data),
        "## Accuracy",
        *_scores(data),
        *_confidence(data),
        f"## Cost of {escape_markdown(data.scheme)}",
        _filled(_cost(data)),
        "## Limitations",
        *_limits(data),
        "## Measured boards",
        *_boards(data),
        *board_notes,
        "## Reproduce",
        *_reproduce(data, run),
    ]
    return "\n\n".join(parts) + "\n"


def _head(data: ModelCardData) -> Iterator[str]:
    weights = "" if data.weight_bytes is None else f", including {data.weight_bytes:,} bytes of weights"
    yield _filled(
        f"Classifies a picture, cropped to one face, as one of {len(data.labels)} expressions: "
        f"{escape_markdown(', '.join(data.labels))}. SHA-256 of the flatbuffer: {_code_span(data.sha256)}. "
        f"The file has {data.file_bytes:,} bytes with its contract{weights}."
    )
    shape = (data.provenance.get("settings") or {}).get("input") or {}
    if shape.get("width") and shape.get("height"):
        yield _filled(_input_and_output(data, shape))
    inspection = data.inspection
    if inspection is not None:
        minimum = inspection.minimum_runtime
        runtime = f" It runs on TensorFlow Lite {escape_markdown(minimum)} or later." if minimum else ""
        yield _filled(
            f"The model has {inspection.parameters:,} parameters. An inference takes {inspection.macs / 1e6:,.1f} "
            f"million multiply-accumulates and {inspection.arena_peak_bytes / 1024:,.0f} KiB of activations.{runtime}"
        )


def _input_and_output(data: ModelCardData, shape: Mapping[str, Any]) -> str:
    channels = shape.get("channels", "gray")
    colors = "gray" if channels == "gray" else str(channels).upper()
    clahe = " after CLAHE" if shape.get("clahe") else ""
    mean, std = shape.get("mean"), shape.get("std")
    scale = "without mean or scale"
    if mean or std:
        scale = f"of which the model takes (pixel - {_numbers(mean, 0)}) / {_numbers(std, 255)}"
    kind, after = "logits", "; the host applies softmax"
    if imported_from(data.provenance).get("output") == "probabilities":
        kind, after = "probabilities", ""
    return (
        f"Input: raw {_plain(colors)} pixels, {_plain(shape['width'])} x {_plain(shape['height'])}{clahe}, {scale}. "
        f"Output: {len(data.labels)} {kind}{after}."
    )


def _numbers(values: object, default: float) -> str:
    """Format the value of each channel, whose type is not checked."""
    return _plain(", ".join(map(str, values)) if isinstance(values, (list, tuple)) and values else default)


def _data(data: ModelCardData) -> Iterator[str]:
    origin = data.provenance.get("data") or {}
    name = str(origin.get("name", "unknown"))
    source = f"{escape_markdown(name)}, sha256 {_code_span(origin.get('sha256', 'unknown'))}"
    imported = imported_from(data.provenance)
    if imported:
        file = _code_span(imported.get("file", "unknown"))
        yield _filled(f"Imported from {file}, which another program trained on unknown data. Used here: {source}.")
    else:
        yield _filled(f"Trained on {source}.")
    yield _filled(ABOUT_FER2013 if name in FER2013_NAMES else ABOUT_SYNTHETIC if name == SYNTHETIC else ABOUT_CUSTOM)
    calibration = data.provenance.get("calibration") or {}
    if calibration:
        source = f"set {calibration['set']}" if calibration.get("set") else f"seed {calibration.get('seed')}"
        yield _filled(f"Calibrated on {_plain(calibration.get('faces'))} faces from Training ({_plain(source)}).")
    yield _filled("The file contains no image of the data; the golden inputs in its contract are synthetic.")


def _scores(data: ModelCardData) -> Iterator[str]:
    if not data.evaluations:
        yield "Not measured: `edgefer evaluate MODEL.tflite --out evaluation.json`."
    for index, scored in enumerate(data.evaluations):
        images = escape_markdown(scored.images_name)
        text = f"{images[:1].upper()}{images[1:]}: {accuracy_text(scored.accuracy)} of {scored.n:,} images"
        text += ", with 95 % interval."
        if scored.deduplicated is not None:
            deduplicated = f"{accuracy_text(scored.deduplicated)} of {scored.deduplicated.n:,}"
            text += f" Excluding duplicates of Training images: {deduplicated}."
        if scored.split == data.validation_split and not imported_from(data.provenance):
            split = escape_markdown(split_phrase(scored.split, data=scored.data))
            text += f" The best epoch was selected on {split}, so these numbers are slightly optimistic."
        yield _filled(text)
        yield _classes(scored, data.comparison if index == 0 else None)


def _classes(scored: Evaluation, comparison: PairedComparison | None) -> str:
    changes = {delta.label: delta.delta_points for delta in comparison.per_class} if comparison else {}
    rows: list[list[str | None]] = []
    for score in scored.per_class:
        change = changes.get(score.label)
        numbers = [_percent(score.precision), _percent(score.recall), _percent(score.f1)]
        change_cell = [None if change is None else f"{change:+.1f}"] if changes else []
        rows.append([escape_markdown(score.label), f"{score.n:,}", *numbers, *change_cell])
    return "\n".join(markdown_lines(CLASS_HEADERS if changes else CLASS_HEADERS[:-1], rows, text_columns=1))


def _cost(data: ModelCardData) -> str:
    comparison, scheme = data.comparison, escape_markdown(data.scheme)
    if comparison is None:
        return f"Unknown: no record of `edgefer quantize --out` compares {scheme} with its float network."
    low, high = comparison.interval_points
    least = data.least_agreement
    kernels = "" if least is None else f" The kernels of all runtimes agree on at least {100 * least:.2f} % of labels."
    return (
        f"Accuracy change from the float network: {comparison.difference_points:+.2f} points (95 %: {low:+.2f} to "
        f"{high:+.2f}), McNemar p = {comparison.p_value:.2g}. Both models give the same label to "
        f"{100 * comparison.agreement:.2f} % of {comparison.n:,} images; only the float network is right on "
        f"{comparison.only_float:,}, only {scheme} on {comparison.only_quantized:,}. Expected calibration error, "
        f"both without a temperature: {100 * comparison.float_ece:.1f} % before quantization, "
        f"{100 * comparison.quantized_ece:.1f} % after.{kernels}"
    )


def _confidence(data: ModelCardData) -> Iterator[str]:
    if data.comparison is None or data.temperature is None or data.calibrated_ece is None:
        return
    yield _filled(
        f"Confidence: probabilities are the softmax of logits / {data.temperature:g}. This temperature was fitted on "
        f"the same images. With it, the expected calibration error is {100 * data.calibrated_ece:.1f} % instead of "
        f"{100 * data.comparison.quantized_ece:.1f} %, cross-validated: each half of the images uses the temperature "
        "fitted on the other half. Confidence is less reliable on other kinds of images."
    )


def _limits(data: ModelCardData) -> Iterator[str]:
    if data.evaluations:
        scored = data.evaluations[0]
        classes = [score for score in scored.per_class if score.recall is not None]
        worst = sorted(classes, key=lambda score: score.recall or 0.0)[:2]
        weak = " and ".join(
            f"{escape_markdown(score.label)} ({_percent(score.recall)} % of {score.n:,})" for score in worst
        )
        wrong = 1 - (scored.accuracy.share or 0.0)
        split = escape_markdown(scored.split_phrase)
        yield _filled(f"The model is wrong on {100 * wrong:.0f} % of {split}. Recall is lowest for {weak}.")
    yield _filled("It needs one upright face that fills the crop. For any other picture it still returns a label.")
    if data.missed_thresholds:
        missed = escape_markdown("; ".join(data.missed_thresholds))
        yield _filled(f"It misses the accuracy thresholds that were set: {missed}.")


def _boards(data: ModelCardData) -> Iterator[str]:
    timings = data.timings
    if not any(timing.device.get("board") for timing in timings):
        others = " Other machines:" if timings else ""
        yield f"None yet: `edgefer bench MODEL.tflite --device BOARD`.{others}"
    if timings:
        yield "\n".join(markdown_lines(BENCHMARK_HEADERS, escape_cells([_timing(timing) for timing in timings])))
        yield _filled(
            "Times are of the model alone: percentiles of steady runs, excluding warm-up. Memory is that of the whole "
            "process."
        )


def _timing(timing: Measurement) -> list[str | None]:
    device = timing.device
    memory = None if timing.peak_rss_bytes is None else f"{timing.peak_rss_bytes / 2**20:.0f}"
    times = [f"{time:,.1f}" for time in (timing.p50_us, timing.p90_us, timing.p99_us)]
    machine = str(device.get("board") or f"no board: {device.get('cpu') or device.get('machine')}")
    kernels = "" if timing.kernels == "default" else f", {timing.kernels} kernels"
    runtime = f"{timing.runtime} {timing.runtime_version}{kernels}"
    return [machine, runtime, str(timing.threads), *times, memory, f"{timing.invoke.runs:,}"]


def _reproduce(data: ModelCardData, run: str | None) -> Iterator[str]:
    provenance = data.provenance
    if run is not None:
        yield _command(quantize_command(data.scheme, provenance, run))
        return
    parent, settings = provenance.get("parent"), provenance.get("settings")
    # A continued training must not overwrite the run that it starts from.
    folder = f"runs/{parent['run']}-on" if parent else f"runs/{data.system}"
    quantize = quantize_command(data.scheme, provenance, folder)
    if not isinstance(settings, Mapping):
        yield _command(quantize)
        return
    name = (provenance.get("data") or {}).get("name")
    train = train_command(folder, settings="settings.toml", data=name, origin=provenance)
    yield f"{_command(train)} && \\\n{_command(quantize)}"
    yield "with this `settings.toml`:"
    yield f"```toml\n{settings_toml(settings)}\n```"
    teachers = [source for source in teachers_of(provenance) if source.get("sha256")]
    files = [source for source in teachers if source["run"].lower().endswith(".tflite")]
    if files:
        yield _filled("SHA-256 of the teachers:")
        yield "\n".join(f"- {_code_span(source['run'])}: {_code_span(source['sha256'])}" for source in files)


def _command(line: str) -> str:
    """Format a command line as a code block, folded before options where it is long."""
    folded = "    "
    for part in re.split(r" (?=--)", printable(line, kept="")):
        if len(folded.rpartition("\n")[2]) + len(part) > MAX_COMMAND:
            folded += "\\\n        "
        folded += f"{part} "
    return folded.rstrip()


def _plain(value: object) -> str:
    """Escape a value of the provenance, whose type is not checked."""
    return escape_markdown(str(value))


def _code_span(value: object) -> str:
    """Format a value as inline code, which no character of it can end."""
    text = printable(str(value), kept="").replace("`", "'")
    return f"`{text}`"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _filled(text: str) -> str:
    return textwrap.fill(text, DOCUMENT_WIDTH, break_on_hyphens=False, break_long_words=False)
