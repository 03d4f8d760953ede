"""The section on .tflite files: input, size, parameters and contract.

    models_section(data)
"""

from __future__ import annotations

from edgefer.contract.split_names import split_phrase
from edgefer.report.report_data import ModelFile, ReportData
from edgefer.report.sections.blocks import CellContent, Choice, DataTable, Details, Section
from edgefer.report.sections.provenance import flattened
from edgefer.results.inspection import Inspection
from edgefer.text_table import percent

__all__ = ["models_section"]

HEADERS = (
    "model", "scheme", "input", "KiB with contract", "KiB of the model", "parameters", "MMACs", "golden tolerance",
    "accuracy at conversion",
)  # fmt: skip


def models_section(data: ReportData) -> Section | None:
    """Build one row per file, and a foldable table of each contract; return None without any file."""
    if not data.models:
        return None
    inspections = {inspection.sha256: inspection for inspection in data.results.inspections}
    rows = [_row(model, inspections.get(model.artifact.sha256)) for model in data.models]
    contracts = [Details(f"Contract of {model.file}", [_contract(model)]) for model in data.models]
    table = DataTable("Model files", HEADERS, rows, text_columns=3)
    return Section("models", "Models", [table, Choice("models", "Contract", contracts)])


def _row(model: ModelFile, inspection: Inspection | None) -> list[CellContent]:
    artifact, golden = model.artifact, model.artifact.golden
    spec, scores = artifact.input_spec, artifact.provenance.get("scores") or {}
    accuracy = percent(scores["accuracy"]) if isinstance(scores.get("accuracy"), float) else None
    layout = str((artifact.provenance.get("data") or {}).get("name"))
    split = split_phrase(str(scores.get("split")), data=layout)
    return [
        model.file,
        artifact.scheme,
        f"{spec.channels} {spec.width} x {spec.height}",
        f"{model.file_bytes / 1024:,.1f}",
        f"{len(artifact.model) / 1024:,.1f}",
        f"{inspection.parameters:,}" if inspection else None,
        f"{inspection.macs / 1e6:,.1f}" if inspection else None,
        f"{golden.tolerance:.3g} {golden.unit}",
        f"{accuracy} on {split}" if accuracy else None,
    ]


def _contract(model: ModelFile) -> DataTable:
    artifact = model.artifact
    rows = [
        ("SHA-256 of the flatbuffer", artifact.sha256),
        ("labels", ", ".join(artifact.labels)),
        ("golden vectors", f"{len(artifact.golden.inputs)} synthetic faces"),
        ("temperature", f"{artifact.temperature:g}"),
        *flattened(artifact.provenance),
    ]
    return DataTable(f"Contract of {model.file}", ["field", "value"], rows, text_columns=2)
