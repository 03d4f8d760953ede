"""What each scheme cost against its float parent: the verdict, what changed, and which classes it was.

    verdicts_section(evidence), classes_section(evidence), flips_section(evidence)

Where a quantized model departs from its float parent, layer by layer.

    layers_section(evidence)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgefer.report.html.markup import Html, bar, choosable, element, number, section, signed, table
from edgefer.report.html.page_data import Change, ReportData
from edgefer.report.quantization_record import Quantization

__all__ = ["classes_section", "flips_section", "layers_section", "verdicts_section"]

VERDICTS = (
    "model", "scheme", "KiB", "float, %", "accuracy, %", "points (95 %)", "McNemar p", "same label, %",
    "kernels agree, %", "ECE, %", "ECE calibrated, %", "gates",
)  # fmt: skip
FLIPS = ("model", "scheme", "images", "changed", "mended", "broken", "wrong either way")
CHANGES = ("row", "label", "float says", "now says", "float sure, %", "now sure, %")
# Rows beyond it make a page that takes long to open.
MOST_CHANGES = 1000
CLASSES = ("class", "n", "right before", "right now", "points", "95 % interval")


def verdicts_section(evidence: ReportData) -> Html | None:
    """A row a model; None without any."""
    made = evidence.quantizations
    if not made:
        return None
    images = ", ".join(dict.fromkeys(f"{each.evaluation.split} of {each.evaluation.data}" for each in made))
    note = (
        f"Each model and its float parent answered the same images ({images}), so the difference is known better than "
        "either accuracy. Points whose interval holds zero are within what chance gives; McNemar's p says how often "
        "chance alone gives a difference like this one. The same label: right or wrong, from both. ECE, the expected "
        "calibration error, is of both without a temperature, so that they can be compared; calibrated it is the "
        "model's own, with its temperature, each half of the images by that of the other."
    )
    rows = [_verdict(each, evidence) for each in made]
    caption = "Accuracy against the float parent"
    return section("verdicts", "Verdict of each scheme", table(caption, VERDICTS, rows, text=2), element("p", note))


def flips_section(evidence: ReportData) -> Html | None:
    """How many answers changed, how many of these for the better, and which images; None without any."""
    listed = [(each.file, each.changes) for each in evidence.models if each.changes]
    if not evidence.quantizations and not listed:
        return None
    note = "Mended: only the quantized model is right. Broken: only its float parent was. The rest is wrong from both."
    rows = [_flips(each) for each in evidence.quantizations]
    whole = [table("Images that get another label", FLIPS, rows, text=2), element("p", note)] if rows else []
    which = "Row: the place in the data set. The images that both were surest of come first."
    if not listed:
        which = "Which images: the .flips.csv beside a model says; edgefer report RUN --html FILE lists them here."
    lists = [(f"{file}: {len(changes):,} images", _changes(file, changes)) for file, changes in listed]
    whole += choosable("flips", "Images of", lists, shown=0)
    return section("flips", "What changed", *whole, element("p", which))


def classes_section(evidence: ReportData) -> Html | None:
    """Recall per class before and after, a table a model; None without any."""
    made = evidence.quantizations
    if not made:
        return None
    parts = [(f"{each.system}, {each.scheme}", _classes(each)) for each in made]
    told = next((index for index, each in enumerate(made) if each is evidence.telling), 0)
    tables = choosable("classes", "Classes of", parts, shown=told)
    note = "The interval is over the images that changed; where a record does not tell which, it is wider (marked ~)."
    return section("classes", "Classes", *tables, element("p", note))


def _verdict(made: Quantization, evidence: ReportData) -> list[object]:
    verdict = made.verdict
    low, high = verdict.interval_points
    least = evidence.results.least_agreements.get(made.sha256)
    certain = None if low <= 0 <= high else "better" if low > 0 else "worse"
    broken = element("span", f"broken: {'; '.join(made.gates_broken)}", class_="worse") if made.gates_broken else None
    return [
        made.system,
        made.scheme,
        number(made.file_bytes / 1024, 1),
        number(100 * verdict.parent_correct / verdict.n),
        number(100 * verdict.own_correct / verdict.n),
        element("span", f"{signed(verdict.difference_points)} ({signed(low)} to {signed(high)})", class_=certain),
        f"{verdict.p_value:.2g}",
        number(100 * verdict.agreement),
        None if least is None else number(100 * least),
        f"{100 * verdict.parent_ece:.1f} → {100 * verdict.own_ece:.1f}",
        None if made.calibrated_ece is None else number(100 * made.calibrated_ece, 1),
        broken or "none broken",
    ]


def _flips(made: Quantization) -> list[object]:
    verdict = made.verdict
    changed = round(verdict.n * (1 - verdict.agreement))
    counts = {"mended": verdict.only_own, "broken": verdict.only_parent}
    most = max(1, changed)
    bars = [bar(count / most, f"{count:,}", class_=f"bar {name}") for name, count in counts.items()]
    rest = changed - sum(counts.values())
    return [made.system, made.scheme, f"{verdict.n:,}", f"{changed:,}", *bars, f"{rest:,}"]


def _changes(file: str, changes: Sequence[Change]) -> Html:
    rows = [
        [
            each.row, each.label, _said(each.before, each.label), _said(each.now, each.label),
            f"{100 * each.before_probability:.1f}", f"{100 * each.now_probability:.1f}",
        ]
        for each in changes[:MOST_CHANGES]
    ]  # fmt: skip
    left_out = len(changes) - MOST_CHANGES
    more = f", {left_out:,} more are in its .flips.csv" if left_out > 0 else ""
    return table(f"Images whose label {file} changes{more}", CHANGES, rows, text=4)


def _said(answer: str, label: str) -> Html:
    return element("span", answer, class_="better" if answer == label else None)


def _classes(made: Quantization) -> Html:
    rows = []
    for each in made.verdict.per_class:
        interval = each.interval_points
        rough = "~ " if each.only_own is None else ""
        told = f"{rough}{signed(interval[0])} to {signed(interval[1])}" if interval else None
        rows.append([each.label, f"{each.n:,}", each.parent_correct, each.own_correct, signed(each.delta_points), told])
    return table(f"Recall per class of {made.system}, {made.scheme}", CLASSES, rows)


HEADERS = ("layer", "operator", "SNR, dB", "cosine", "clipped, %", "weights, dB", "if float, dB")
# A bar is full there: beyond it nothing is to be seen in the answers.
FULL_DB = 60.0


def layers_section(evidence: ReportData) -> Html | None:
    """A table a model that was looked into; None without any."""
    known = [each for each in evidence.quantizations if each.layers]
    if not known:
        return None
    note = (
        "SNR: the power of a layer's float output over that of its error. If float: how many dB nearer the logits come "
        "to the float parent's when that layer alone stays float."
    )
    parts = [(f"{each.system}, {each.scheme}", _layers(each)) for each in known]
    return section("layers", "Layers", element("p", note), *choosable("layers", "Layers of", parts, shown=0))


def _layers(made: Quantization) -> Html:
    rows = [_row(each, made.culprits) for each in made.layers]
    blamed = f"culprits: {', '.join(made.culprits)}" if made.culprits else "no layer alone costs the logits 1 dB"
    caption = f"{made.system}, {made.scheme}: {blamed}"
    return table(caption, HEADERS, rows, text=2)


def _row(layer: Mapping[str, Any], culprits: tuple[str, ...]) -> list[object]:
    name = str(layer.get("layer"))
    snr = layer.get("activation_snr_db")
    shown = "exact" if snr is None else bar(snr / FULL_DB, f"{snr:.1f}")
    saturation = layer.get("activation_saturation")
    return [
        element("strong", name, " (culprit)") if name in culprits else name,
        layer.get("kind"),
        shown,
        number(layer.get("activation_cosine"), 4),
        number(None if saturation is None else 100 * saturation),
        number(layer.get("weight_snr_db"), 1),
        signed(layer.get("float_gain_db"), 1),
    ]
