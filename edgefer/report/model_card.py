"""The model card of an artifact: what it is for and what it is not, what it was made of, and how good it is.

    card(Known.of(quantization), run="runs/first")          # Markdown, for NAME.card.md beside NAME.tflite
    card(Known.of_file(artifact, file_bytes, results, quantizations))
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.contract.artifact import Artifact
from edgefer.report.arm64 import Arm64, arm64_tables
from edgefer.report.commands import quantize_command, settings_toml, train_command
from edgefer.report.comparison import compare
from edgefer.report.loading import Results
from edgefer.report.quantization_record import Quantization
from edgefer.report.tables import markdown_lines
from edgefer.report.terminal.evaluation import points
from edgefer.results.evaluation import Evaluation
from edgefer.results.inspection import Inspection
from edgefer.results.measurement import Measurement
from edgefer.results.paired_comparison import PairedComparison

__all__ = ["ModelCardData", "card"]

WIDTH = 120
# With what folds it, and what follows it.
LONGEST_COMMAND = 112
# FER2013 in both of its forms, and what nobody but edgefer has drawn; other data are the user's own.
FER2013 = ("fer2013.csv", "icml")
SYNTHETIC = "synthetic"
HEADERS = ("class", "n", "precision, %", "recall, %", "F1, %", "recall against float, points")
BENCHES = ("device", "runtime", "threads", "p50, us", "p90, us", "p99, us", "memory, MiB", "runs")

USE = (
    "It is for measuring how a compact network runs on a board, for teaching, and for interfaces that react to a "
    "visible expression and are harmless when they are wrong."
)
MISUSE = (
    "A perceived expression is not an emotion: the model names how a face looks, not what a person feels. Do not use "
    "it to judge people. In the European Union, inferring emotions at work and in schools is prohibited (AI Act, "
    "article 5) and most other uses of emotion recognition are high-risk (annex III)."
)
ABOUT_FER2013 = (
    'FER2013 (Goodfellow et al., "Challenges in Representation Learning", 2013): faces found by web search for emotion '
    "words, in which many labels are doubtful. edgefer has not established under which licence the pictures stand, and "
    "ships none of them: the terms are those of the place that you had them from. The data do not say whose faces they "
    "show, so nobody knows for whom this model is worse."
)
ABOUT_SYNTHETIC = (
    "Drawn faces, made by edgefer; no person is in them and no licence is needed. Scores on them say nothing of "
    "photographs."
)
ABOUT_OWN = (
    "Data of whoever trained it: their licence, and the consent of those whom they show, are for that person to know. "
    "Nothing is known of whom they show, so nobody knows for whom this model is worse."
)


@dataclass(frozen=True, eq=False)
class ModelCardData:
    """All that is known of one model; what nobody has measured is None or empty.

    Attributes:
        system, scheme, sha256: what it is.
        labels: what it says.
        file_bytes: with the contract.
        provenance: where it comes from, as its contract says.
        weight_bytes: of its weights alone.
        verdict: against its float parent, image by image, on the images of ``evaluations[0]``.
        gates_broken: bounds that were set and are not kept.
        temperature, calibrated_ece: what its logits are divided by, and the calibration error with it, in 0..1.
        evaluations: one a split; the one that chose the best epoch first.
        benches: wherever it was timed.
        counts: its instructions on emulated boards.
        inspection: what its operators come to.
        least_agreement: the least top-1 agreement between two kernels, in 0..1.
    """

    system: str
    scheme: str
    sha256: str
    labels: tuple[str, ...]
    file_bytes: int
    provenance: Mapping[str, Any]
    weight_bytes: int | None = None
    verdict: PairedComparison | None = None
    gates_broken: tuple[str, ...] = ()
    temperature: float | None = None
    calibrated_ece: float | None = None
    evaluations: tuple[Evaluation, ...] = ()
    benches: tuple[Measurement, ...] = ()
    counts: tuple[Arm64, ...] = ()
    inspection: Inspection | None = None
    least_agreement: float | None = None

    @property
    def timings(self) -> list[Measurement]:
        """The benches, each once: the same one may stand in two of the given files."""
        groups = compare((), self.benches) if self.benches else ()
        return [row.measurement for group in groups for row in group.rows if row.measurement is not None]

    @classmethod
    def of(cls, made: Quantization) -> ModelCardData:
        """What a quantization tells."""
        names = (
            "system", "scheme", "sha256", "file_bytes", "provenance", "weight_bytes", "verdict", "gates_broken",
            "temperature", "calibrated_ece",
        )  # fmt: skip
        return cls(
            **{name: getattr(made, name) for name in names},
            labels=made.evaluation.label_names,
            evaluations=(made.evaluation,),
            benches=(made.measurement,),
        )

    @classmethod
    def of_file(
        cls, artifact: Artifact, file_bytes: int, results: Results, quantizations: Sequence[Quantization] = ()
    ) -> ModelCardData:
        """What the artifact itself tells, and what the results tell of this very flatbuffer."""
        sha256, provenance = artifact.sha256, artifact.provenance
        made = [each for each in quantizations if each.sha256 == sha256]
        own = [each for each in results.evaluations if each.subject.get("sha256") == sha256]
        # Each split once: quantize scores what evaluate scores too.
        splits = {each.split: each for each in reversed([*(each.evaluation for each in made), *own])}
        benches = [each for each in results.measurements if each.subject.get("sha256") == sha256]
        bare = cls(
            str(provenance.get("system", "?")), artifact.scheme, sha256, tuple(artifact.labels), file_bytes, provenance
        )
        return dataclasses.replace(
            cls.of(made[0]) if made else bare,
            file_bytes=file_bytes,
            evaluations=tuple(sorted(splits.values(), key=lambda each: each.split != _chosen_on(provenance))),
            benches=tuple(benches or [each.measurement for each in made]),
            counts=tuple(each for each in results.arm64 if each.sha256 == sha256),
            inspection=next((each for each in results.inspections if each.sha256 == sha256), None),
            least_agreement=results.least_agreements.get(sha256),
        )


def card(known: ModelCardData, *, run: str | None = None) -> str:
    """The card of a model, in Markdown.

    Args:
        known: what there is to say.
        run: the run folder that it was made of; without one the card tells the training too.
    """
    parts = [
        f"# {known.system}, {known.scheme}",
        *_head(known),
        "## What it is for, and what it is not",
        _wrapped(USE),
        _wrapped(MISUSE),
        "## Data and their licence",
        *_data(known),
        "## How good it is",
        *_scores(known),
        *_confidence(known),
        f"## What {known.scheme} cost",
        _wrapped(_cost(known)),
        "## Limits",
        *_limits(known),
        "## Boards measured",
        *_boards(known),
        "## Make it again",
        *_again(known, run),
    ]
    return "\n\n".join(parts) + "\n"


def _head(known: ModelCardData) -> Iterator[str]:
    weights = "" if known.weight_bytes is None else f", of which {known.weight_bytes:,} are weights"
    yield _wrapped(
        f"Names one of {len(known.labels)} expressions ({', '.join(known.labels)}) on a picture cropped to one face. "
        f"SHA-256 of the flatbuffer: `{known.sha256}`; {known.file_bytes:,} bytes with the contract{weights}."
    )
    shape = (known.provenance.get("settings") or {}).get("input") or {}
    if shape.get("width") and shape.get("height"):
        clahe = " after CLAHE" if shape.get("clahe") else ""
        yield _wrapped(
            f"It takes raw grey pixels, {shape['width']} x {shape['height']}{clahe}, with no mean and no scale to "
            f"apply, and puts out {len(known.labels)} logits; softmax is taken on the host."
        )
    found = known.inspection
    if found is not None:
        runs = f", runs on TensorFlow Lite {found.minimum_runtime} or later" if found.minimum_runtime else ""
        yield _wrapped(
            f"It has {found.parameters:,} parameters, makes {found.macs / 1e6:,.1f} million multiply-accumulates an "
            f"inference in {found.arena_peak_bytes / 1024:,.0f} KiB of activations{runs}."
        )


def _data(known: ModelCardData) -> Iterator[str]:
    data = known.provenance.get("data") or {}
    name = str(data.get("name", "unknown"))
    yield _wrapped(f"Trained on {name}, sha256 `{data.get('sha256', 'unknown')}`.")
    yield _wrapped(ABOUT_FER2013 if name in FER2013 else ABOUT_SYNTHETIC if name == SYNTHETIC else ABOUT_OWN)
    calibration = known.provenance.get("calibration") or {}
    if calibration:
        source = f"the set {calibration['set']}" if calibration.get("set") else f"seed {calibration.get('seed')}"
        yield _wrapped(f"Calibrated with {calibration.get('faces')} faces of Training ({source}).")
    yield _wrapped("No image of the data is in the file; the golden inputs in its contract are drawn.")


def _scores(known: ModelCardData) -> Iterator[str]:
    if not known.evaluations:
        yield "Not measured: `edgefer evaluate MODEL.tflite --out evaluation.json`."
    for index, scored in enumerate(known.evaluations):
        said = f"{scored.split} of {scored.data}: {points(scored.accuracy)} of {scored.n:,}, with 95 % interval."
        if scored.unseen is not None:
            said += f" Without images that stand in Training too: {points(scored.unseen)} of {scored.unseen.n:,}."
        if scored.split == _chosen_on(known.provenance):
            said += f" The best epoch was chosen on {scored.split}, so these numbers are somewhat too good."
        yield _wrapped(said)
        yield _classes(scored, known.verdict if index == 0 else None)


def _classes(scored: Evaluation, verdict: PairedComparison | None) -> str:
    deltas = {each.label: each.delta_points for each in verdict.per_class} if verdict else {}
    rows: list[list[str | None]] = []
    for each in scored.per_class:
        delta = deltas.get(each.label)
        numbers = [_percent(each.precision), _percent(each.recall), _percent(each.f1)]
        against = [None if delta is None else f"{delta:+.1f}"] if deltas else []
        rows.append([each.label, f"{each.n:,}", *numbers, *against])
    return "\n".join(markdown_lines(HEADERS if deltas else HEADERS[:-1], rows, names=1))


def _cost(known: ModelCardData) -> str:
    verdict = known.verdict
    if verdict is None:
        return f"Not known: no record of `edgefer quantize --out` says how {known.scheme} and its float parent compare."
    low, high = verdict.interval_points
    least = known.least_agreement
    kernels = "" if least is None else f" The kernels of all runtimes agree on {100 * least:.2f} % of labels at least."
    return (
        f"Against its float parent, image by image: {verdict.difference_points:+.2f} points (95 %: {low:+.2f} to "
        f"{high:+.2f}), McNemar p = {verdict.p_value:.2g}. The same label for {100 * verdict.agreement:.2f} % of "
        f"{verdict.n:,} images; {verdict.only_parent:,} only the parent has right, {verdict.only_own:,} only "
        f"{known.scheme}. Expected calibration error, of both without a temperature: {100 * verdict.parent_ece:.1f} % "
        f"before, {100 * verdict.own_ece:.1f} % now.{kernels}"
    )


def _confidence(known: ModelCardData) -> Iterator[str]:
    if known.verdict is None or known.temperature is None or known.calibrated_ece is None:
        return
    yield _wrapped(
        f"How sure it says that it is: probabilities are the softmax of logits / {known.temperature:g}, a temperature "
        f"that was fitted on the same images. It takes the expected calibration error from "
        f"{100 * known.verdict.own_ece:.1f} % to {100 * known.calibrated_ece:.1f} %, told on images that had no say in "
        "it: each half by the temperature of the other. On pictures of another kind it holds less."
    )


def _limits(known: ModelCardData) -> Iterator[str]:
    if known.evaluations:
        scored = known.evaluations[0]
        classes = [each for each in scored.per_class if each.recall is not None]
        worst = sorted(classes, key=lambda each: each.recall or 0.0)[:2]
        weak = " and ".join(f"{each.label} ({_percent(each.recall)} % of {each.n:,})" for each in worst)
        wrong = 1 - (scored.accuracy.share or 0.0)
        yield _wrapped(f"It is wrong for {100 * wrong:.0f} % of {scored.split}, and finds least of {weak}.")
    yield _wrapped("It wants one upright face that fills the crop; it says one of its names to anything else too.")
    if known.gates_broken:
        yield _wrapped(f"It does not keep the bounds that were set: {'; '.join(known.gates_broken)}.")


def _boards(known: ModelCardData) -> Iterator[str]:
    benches = known.timings
    if not any(each.device.get("board") for each in benches):
        elsewhere = " Elsewhere:" if benches else ""
        yield f"None yet: `edgefer bench MODEL.tflite --device BOARD`.{elsewhere}"
    if benches:
        yield "\n".join(markdown_lines(BENCHES, [_bench(each) for each in benches]))
        yield "Time of the model alone. Percentiles of steady runs, warm-up excluded; memory is of the whole process."
    if known.counts:
        # The answers compared with x86-64 stand in benchmarks/; here is what ranks boards.
        yield arm64_tables(known.counts)[0].markdown()
        yield _wrapped("These boards are emulated: instructions are exact there, and times mean nothing.")


def _bench(bench: Measurement) -> list[str | None]:
    device = bench.device
    memory = None if bench.peak_rss_bytes is None else f"{bench.peak_rss_bytes / 2**20:.0f}"
    times = [f"{each:,.1f}" for each in (bench.p50_us, bench.p90_us, bench.p99_us)]
    place = str(device.get("board") or f"no board: {device.get('cpu') or device.get('machine')}")
    kernels = "" if bench.kernels == "default" else f", {bench.kernels} kernels"
    runtime = f"{bench.runtime} {bench.runtime_version}{kernels}"
    return [place, runtime, str(bench.threads), *times, memory, f"{bench.invoke.runs:,}"]


def _again(known: ModelCardData, run: str | None) -> Iterator[str]:
    provenance = known.provenance
    if run is not None:
        yield _command(quantize_command(known.scheme, provenance, run))
        return
    parent, settings = provenance.get("parent"), provenance.get("settings")
    # Another than the run that it began from, which may be one that went on too.
    folder = f"runs/{parent['run']}-on" if parent else f"runs/{known.system}"
    quantize = quantize_command(known.scheme, provenance, folder)
    if not isinstance(settings, Mapping):
        yield _command(quantize)
        return
    data = (provenance.get("data") or {}).get("name")
    train = train_command(folder, settings="settings.toml", data=data, origin=provenance)
    yield f"{_command(train)} && \\\n{_command(quantize)}"
    yield "with these lines as `settings.toml`:"
    yield f"```toml\n{settings_toml(settings)}\n```"


def _command(line: str) -> str:
    """A command line as a block of code, folded in front of an option where it is long."""
    folded = "    "
    for part in re.split(r" (?=--)", line):
        if len(folded.rpartition("\n")[2]) + len(part) > LONGEST_COMMAND:
            folded += "\\\n        "
        folded += f"{part} "
    return folded.rstrip()


def _chosen_on(provenance: Mapping[str, Any]) -> str:
    """The split that chose the best epoch, and that quantizing scores."""
    return str((provenance.get("scores") or {}).get("split", "PublicTest"))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)
