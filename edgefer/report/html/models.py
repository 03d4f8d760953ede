"""The .tflite files and what they carry.

    models_section(evidence)
"""

from __future__ import annotations

from edgefer.inspection import Inspection
from edgefer.report.html.evidence import Evidence, Model
from edgefer.report.html.markup import Html, choosable, section, table
from edgefer.report.html.origin import flattened
from edgefer.result import percent

__all__ = ["models_section"]

HEADERS = (
    "model", "scheme", "input", "KiB with contract", "KiB of the model", "parameters", "MMACs", "golden tolerance",
    "accuracy at conversion",
)  # fmt: skip


def models_section(evidence: Evidence) -> Html | None:
    """A row a file, and the whole contract of each behind it; None without any."""
    if not evidence.models:
        return None
    inspected = {each.sha256: each for each in evidence.results.inspections}
    rows = [_row(each, inspected.get(each.artefact.sha256)) for each in evidence.models]
    contracts = [(f"Contract of {each.file}", _contract(each)) for each in evidence.models]
    whole = table("Model files", HEADERS, rows, text=3)
    return section("models", "Models", whole, *choosable("models", "Unfold", contracts))


def _row(model: Model, inspection: Inspection | None) -> list[object]:
    artefact, golden = model.artefact, model.artefact.golden
    spec, scores = artefact.input_spec, artefact.provenance.get("scores") or {}
    accuracy = percent(scores["accuracy"]) if isinstance(scores.get("accuracy"), float) else None
    return [
        model.file,
        artefact.scheme,
        f"grey {spec.width} x {spec.height}",
        f"{model.file_bytes / 1024:,.1f}",
        f"{len(artefact.model) / 1024:,.1f}",
        f"{inspection.parameters:,}" if inspection else None,
        f"{inspection.macs / 1e6:,.1f}" if inspection else None,
        f"{golden.tolerance:.3g} {golden.unit}",
        f"{accuracy} on {scores.get('split')}" if accuracy else None,
    ]


def _contract(model: Model) -> Html:
    artefact = model.artefact
    rows = [
        ("SHA-256 of the flatbuffer", artefact.sha256),
        ("labels", ", ".join(artefact.labels)),
        ("golden vectors", f"{len(artefact.golden.inputs)} drawn faces"),
        ("temperature", f"{artefact.temperature:g}"),
        *flattened(artefact.provenance),
    ]
    return table(f"Contract of {model.file}", ["field", "value"], rows, text=2)
