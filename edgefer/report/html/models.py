"""The .tflite files and what they carry.

    models_section(evidence)
"""

from __future__ import annotations

from collections.abc import Iterator

from edgefer.report.html.evidence import Evidence, Model
from edgefer.report.html.markup import Html, element, section, table
from edgefer.report.html.origin import flattened
from edgefer.result import percent

__all__ = ["models_section"]

HEADERS = (
    "model", "scheme", "input", "KiB with contract", "KiB of the model", "golden tolerance", "accuracy at conversion",
)  # fmt: skip


def models_section(evidence: Evidence) -> Html | None:
    """A row a file, and the whole contract of each behind it; None without any."""
    if not evidence.models:
        return None
    rows = [_row(each) for each in evidence.models]
    details = [part for each in evidence.models for part in _contract(each)]
    return section("models", "Models", table("Model files", HEADERS, rows, text=3), *details)


def _row(model: Model) -> list[object]:
    artefact, golden = model.artefact, model.artefact.golden
    spec, scores = artefact.input_spec, artefact.provenance.get("scores") or {}
    accuracy = percent(scores["accuracy"]) if isinstance(scores.get("accuracy"), float) else None
    return [
        model.file,
        artefact.scheme,
        f"grey {spec.width} x {spec.height}",
        f"{model.file_bytes / 1024:,.1f}",
        f"{len(artefact.model) / 1024:,.1f}",
        f"{golden.tolerance:g} {golden.unit}",
        f"{accuracy} on {scores.get('split')}" if accuracy else None,
    ]


def _contract(model: Model) -> Iterator[Html]:
    artefact = model.artefact
    rows = [
        ("SHA-256 of the flatbuffer", artefact.sha256),
        ("labels", ", ".join(artefact.labels)),
        ("golden vectors", f"{len(artefact.golden.inputs)} drawn faces"),
        ("temperature", f"{artefact.temperature:g}"),
        *flattened(artefact.provenance),
    ]
    contract = table(f"Contract of {model.file}", ["field", "value"], rows, text=2)
    yield element("details", element("summary", f"Contract of {model.file}"), contract)
