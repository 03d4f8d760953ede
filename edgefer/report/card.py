"""The model card of an artefact: what it is for and what it is not, what it was made of, and how good it is.

    card(quantization)                              # Markdown, for NAME.card.md beside NAME.tflite
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from edgefer.measurement import Measurement
from edgefer.report.quantization import Quantization
from edgefer.report.text import points

__all__ = ["card"]

WIDTH = 120
# FER2013 in both of its forms, and what nobody but edgefer has drawn; other data are the user's own.
FER2013 = ("fer2013.csv", "icml")
SYNTHETIC = "synthetic"
HEADER = "| class | n | precision, % | recall, % | F1, % | recall against float, points |"

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


def card(made: Quantization, *, benches: Sequence[Measurement] = (), run: str = "RUN") -> str:
    """The card of ``made``, in Markdown.

    Args:
        benches: where else it was measured; only boards are listed.
        run: the run folder that it was made of, for the command that makes it again.
    """
    parts = [
        f"# {made.system}, {made.scheme}",
        _wrapped(
            f"Names one of {len(made.evaluation.label_names)} expressions ({', '.join(made.evaluation.label_names)}) "
            f"on a picture cropped to one face. SHA-256 of the flatbuffer: `{made.sha256}`; {made.file_bytes:,} bytes "
            f"with the contract, of which {made.weight_bytes:,} are weights."
        ),
        "## What it is for, and what it is not",
        _wrapped(USE),
        _wrapped(MISUSE),
        "## Data and their licence",
        *_data(made),
        "## How good it is",
        *_scores(made),
        *_confidence(made),
        f"## What {made.scheme} cost",
        _wrapped(_cost(made)),
        "## Limits",
        *_limits(made),
        "## Boards measured",
        *_boards([*benches, made.measurement]),
        "## Make it again",
        f"    {made.command(run)}",
    ]
    return "\n\n".join(parts) + "\n"


def _data(made: Quantization) -> Iterator[str]:
    data = made.provenance.get("data") or {}
    name = str(data.get("name", "unknown"))
    yield _wrapped(f"Trained on {name}, sha256 `{data.get('sha256', 'unknown')}`.")
    yield _wrapped(ABOUT_FER2013 if name in FER2013 else ABOUT_SYNTHETIC if name == SYNTHETIC else ABOUT_OWN)
    calibration = made.provenance.get("calibration") or {}
    if calibration:
        source = f"the set {calibration['set']}" if calibration.get("set") else f"seed {calibration.get('seed')}"
        yield _wrapped(f"Calibrated with {calibration.get('faces')} faces of Training ({source}).")
    yield _wrapped("No image of the data is in the file; the golden inputs in its contract are drawn.")


def _scores(made: Quantization) -> Iterator[str]:
    scored = made.evaluation
    yield _wrapped(f"{scored.split} of {scored.data}: {points(scored.accuracy)} of {scored.n:,}, with 95 % interval.")
    if scored.unseen is not None:
        yield _wrapped(f"Without images that stand in Training too: {points(scored.unseen)} of {scored.unseen.n:,}.")
    yield _wrapped(f"The best epoch was chosen on {scored.split}, so these numbers are somewhat too good.")
    before = {each.label: each for each in made.verdict.per_class}
    rows = [HEADER, "|---|---:|---:|---:|---:|---:|"]
    for each in scored.per_class:
        delta = before[each.label].delta_points if each.label in before else None
        numbers = [_percent(each.precision), _percent(each.recall), _percent(each.f1)]
        against = "-" if delta is None else f"{delta:+.1f}"
        rows.append(f"| {' | '.join([each.label, f'{each.n:,}', *numbers, against])} |")
    yield "\n".join(rows)


def _cost(made: Quantization) -> str:
    verdict = made.verdict
    low, high = verdict.interval_points
    return (
        f"Against its float parent, image by image: {verdict.difference_points:+.2f} points (95 %: {low:+.2f} to "
        f"{high:+.2f}), McNemar p = {verdict.p_value:.2g}. The same label for {100 * verdict.agreement:.2f} % of "
        f"{verdict.n:,} images; {verdict.only_parent:,} only the parent has right, {verdict.only_own:,} only "
        f"{made.scheme}. Expected calibration error, of both without a temperature: {100 * verdict.parent_ece:.1f} % "
        f"before, {100 * verdict.own_ece:.1f} % now."
    )


def _confidence(made: Quantization) -> Iterator[str]:
    if made.temperature is None or made.calibrated_ece is None:
        return
    yield _wrapped(
        f"How sure it says that it is: probabilities are the softmax of logits / {made.temperature:g}, a temperature "
        f"that was fitted on the same images. It takes the expected calibration error from "
        f"{100 * made.verdict.own_ece:.1f} % to {100 * made.calibrated_ece:.1f} %, told on images that had no say in "
        "it: each half by the temperature of the other. On pictures of another kind it holds less."
    )


def _limits(made: Quantization) -> Iterator[str]:
    known = [each for each in made.evaluation.per_class if each.recall is not None]
    worst = sorted(known, key=lambda each: each.recall or 0.0)[:2]
    weak = " and ".join(f"{each.label} ({_percent(each.recall)} % of {each.n:,})" for each in worst)
    wrong = 1 - (made.evaluation.accuracy.share or 0.0)
    yield _wrapped(f"It is wrong for {100 * wrong:.0f} % of these images, and finds least of {weak}.")
    yield _wrapped("It wants one upright face that fills the crop; it says one of its names to anything else too.")
    if made.gates_broken:
        yield _wrapped(f"It does not keep the bounds that were set: {'; '.join(made.gates_broken)}.")


def _boards(benches: Sequence[Measurement]) -> Iterator[str]:
    boards = [each for each in benches if each.device.get("board")]
    if not boards:
        yield "None."
        return
    for each in boards:
        how = f"{each.runtime} {each.runtime_version}, {each.threads} thread{'s' * (each.threads > 1)}"
        yield _wrapped(f"{each.device['board']}: p50 {each.p50_us:,.1f} us, p90 {each.p90_us:,.1f} us ({how}).")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)
