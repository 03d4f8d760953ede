"""macs: multiply-accumulates of one inference, counted in the file. It needs no device, and takes no time."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgefer.contract.artifact import Artifact
from edgefer.errors import IncompatibleError, UsageError
from edgefer.inspection.flatbuffer import load_schema, read_model
from edgefer.inspection.resources import count_macs
from edgefer.search.judge import Cost

__all__ = ["DESCRIPTION", "OPTIONS", "MacsJudge", "open_judge"]

DESCRIPTION = "multiply-accumulates, counted in the file"
OPTIONS: Mapping[str, str] = {}


class MacsJudge:
    """A count of multiply-accumulates."""

    unit, description, places = "MACs", DESCRIPTION, 1

    def check(self) -> None:
        """Check that the schema of the file format is installed."""
        load_schema()

    def measure(self, model: Path, *, place: int, stop: threading.Event) -> Cost:
        """Count the multiply-accumulates of a model.

        Raises:
            IncompatibleError: an operator has no formula.
        """
        graph = read_model(Artifact.load(model).model).main
        counts = [(op.name, count_macs(graph, op)) for op in graph.ops]
        unknown = dict.fromkeys(name for name, count in counts if count is None)
        if unknown:
            hint = "--judge local"
            raise IncompatibleError(f"no formula for the MACs of {', '.join(unknown)}", hint=hint)
        return Cost(float(sum(count or 0 for _, count in counts)), "the file")


def open_judge(options: Mapping[str, str], devices: Sequence[str]) -> MacsJudge:
    """Create the judge."""
    if devices:
        raise UsageError("--device with the judge macs", why="it counts in the file", hint="omit --device")
    return MacsJudge()
