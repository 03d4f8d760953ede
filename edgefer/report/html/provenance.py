"""Where the numbers come from, and the commands that give them again.

    environment_section(evidence), reproduce_section(evidence)
    flattened({"augment": {"flip": True}})          # [("augment.flip", "true")]
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from edgefer.report.commands import leaves, quantize_command, settings_toml, train_command
from edgefer.report.html.markup import Html, element, section, table
from edgefer.report.html.page_data import ReportData, distinct

__all__ = ["environment_section", "flattened", "reproduce_section"]

MACHINE = ("edgefer", "python", "machine", "system", "cpu_count", "backend")


def environment_section(evidence: ReportData) -> Html | None:
    """Machines and versions of trainings and benches; None where nothing says."""
    rows = [
        (f"training of {each.name}", ", ".join(_training(each.environment)))
        for each in evidence.trainings
        if each.environment
    ]
    converters = distinct([each.artifact.provenance for each in evidence.models])
    converters += [each.provenance for each in evidence.quantizations]
    told = [f"edgefer {each.get('edgefer', '?')}, {each['converter']}" for each in converters if each.get("converter")]
    rows += [("conversion", each) for each in distinct(told)]
    benches = [
        {**each.device, "runtime": f"{each.runtime} {each.runtime_version}", "edgefer": each.harness_version}
        for each in evidence.measurements
    ]
    rows += [("bench", ", ".join(_named(each))) for each in distinct(benches)]
    if not rows:
        return None
    return section("environment", "Environment", table("Machines and versions", ["of", "what"], rows, text=2))


def reproduce_section(evidence: ReportData) -> Html | None:
    """The command lines, in the order in which they have to run, and the settings that they take."""
    lines: list[str] = []
    parts = []
    for each in evidence.trainings:
        settings = f"{each.name}.toml"
        layout = (each.environment.get("data") or {}).get("layout")
        lines.append(train_command(f"runs/{each.name}", settings=settings, data=layout, origin=each.environment))
        content = element("pre", element("code", settings_toml(each.settings)), tabindex="0")
        parts.append(element("details", element("summary", f"{settings}, the settings of {each.name}"), content))
    lines += _conversions(evidence)
    files = distinct([str(each.subject["file"]) for each in evidence.measurements if each.subject.get("file")])
    for file in files:
        lines.append(f"edgefer bench {shlex.quote(file)} --samples --out {shlex.quote(f'{file}.bench.json')}")
    if not lines:
        return None
    note = element("p", "RUN and DATA stand for a run folder and a data set whose places this page does not know.")
    commands = element("pre", element("code", "\n".join(distinct(lines))), tabindex="0", class_="commands")
    return section("reproduce", "Reproduce", commands, note, *parts)


def flattened(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(dotted name, value) of nested plain values; what is not set is left out."""
    return [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in leaves(fields)]


def _conversions(evidence: ReportData) -> list[str]:
    runs = {each.system: f"runs/{each.name}" for each in evidence.trainings}
    made = [(each.scheme, each.provenance) for each in evidence.quantizations]
    made += [(each.artifact.scheme, each.artifact.provenance) for each in evidence.models]
    return distinct(
        [
            quantize_command(scheme, provenance, runs.get(str(provenance.get("system")), "RUN"))
            for scheme, provenance in made
        ]
    )


def _training(environment: Mapping[str, Any]) -> list[str]:
    """Versions and machine; where the data lay is nobody else's business."""
    told = [f"{name} {environment[name]}" for name in MACHINE if environment.get(name) is not None]
    return told + [f"{name} {version}" for name, version in (environment.get("packages") or {}).items()]


def _named(fields: Mapping[str, Any]) -> list[str]:
    return [f"{name} {value}" for name, value in fields.items() if value is not None]
