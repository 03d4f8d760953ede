"""The sections on machines and versions, and on the commands that reproduce the results.

    environment_section(data), reproduce_section(data)
    flattened({"augment": {"flip": True}})          # [("augment.flip", "true")]
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from edgefer.contract.preprocessing import InputSpec
from edgefer.report.commands import (
    import_command,
    imported_from,
    leaves,
    quantize_command,
    settings_toml,
    train_command,
)
from edgefer.report.report_data import ReportData, distinct
from edgefer.report.sections.blocks import Block, Code, DataTable, Details, Paragraph, Section
from edgefer.report.training_record import Training

__all__ = ["environment_section", "flattened", "reproduce_section"]

# A path to the data could reveal a user's name, so only these fields are shown.
MACHINE = ("edgefer", "python", "machine", "system", "cpu_count", "backend")
NOTE = "RUN and DATA represent a run folder and a data set whose paths the records do not contain."


def environment_section(data: ReportData) -> Section | None:
    """List the machines and versions of trainings, conversions and benchmarks; return None without any."""
    rows = [
        (f"{_step(training)} of {training.name}", ", ".join(_training_versions(training.environment)))
        for training in data.trainings
        if training.environment
    ]
    provenances = distinct([model.artifact.provenance for model in data.models])
    provenances += [quantization.provenance for quantization in data.quantizations]
    converters = [
        f"edgefer {provenance.get('edgefer', '?')}, {provenance['converter']}"
        for provenance in provenances
        if provenance.get("converter")
    ]
    rows += [("conversion", converter) for converter in distinct(converters)]
    machines = [
        {
            **measurement.device,
            "runtime": f"{measurement.runtime} {measurement.runtime_version}",
            "edgefer": measurement.harness_version,
        }
        for measurement in data.measurements
    ]
    rows += [("benchmark", ", ".join(_name_values(machine))) for machine in distinct(machines)]
    if not rows:
        return None
    table = DataTable("Machines and versions", ["step", "machine and versions"], rows, text_columns=2)
    return Section("environment", "Environment", [table])


def reproduce_section(data: ReportData) -> Section | None:
    """List the commands, in order, and the settings files that they need; return None without any command."""
    lines: list[str] = []
    settings_files: list[Block] = []
    for training in data.trainings:
        if imported_from(training.environment):
            fields = training.settings.get("input")
            spec = InputSpec.from_json(fields) if fields else InputSpec()
            lines.append(import_command(f"runs/{training.name}", environment=training.environment, spec=spec))
            continue
        file = f"{training.name}.toml"
        layout = (training.environment.get("data") or {}).get("layout")
        lines.append(train_command(f"runs/{training.name}", settings=file, data=layout, origin=training.environment))
        title = f"{file}, the settings of {training.name}"
        settings_files.append(Details(title, [Code(settings_toml(training.settings))]))
    lines += _quantize_commands(data)
    for file in distinct(
        [str(measurement.subject["file"]) for measurement in data.measurements if measurement.subject.get("file")]
    ):
        lines.append(f"edgefer bench {shlex.quote(file)} --samples --out {shlex.quote(f'{file}.bench.json')}")
    if not lines:
        return None
    commands = Code("\n".join(distinct(lines)))
    return Section("reproduce", "Reproduce", [commands, Paragraph(NOTE), *settings_files])


def flattened(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (dotted name, value) of nested plain values, without those that are None."""
    return [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in leaves(fields)]


def _quantize_commands(data: ReportData) -> list[str]:
    runs = {training.system: f"runs/{training.name}" for training in data.trainings}
    origins = [(quantization.scheme, quantization.provenance) for quantization in data.quantizations]
    origins += [(model.artifact.scheme, model.artifact.provenance) for model in data.models]
    return distinct(
        [
            quantize_command(scheme, provenance, runs.get(str(provenance.get("system")), "RUN"))
            for scheme, provenance in origins
        ]
    )


def _step(training: Training) -> str:
    return "import" if imported_from(training.environment) else "training"


def _training_versions(environment: Mapping[str, Any]) -> list[str]:
    machine = [f"{name} {environment[name]}" for name in MACHINE if environment.get(name) is not None]
    return machine + [f"{name} {version}" for name, version in (environment.get("packages") or {}).items()]


def _name_values(fields: Mapping[str, Any]) -> list[str]:
    return [f"{name} {value}" for name, value in fields.items() if value is not None]
