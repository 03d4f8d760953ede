"""Training throughput of edgefer beside other input pipelines.

    cases = read_throughput(fields)                 # from benchmarks/training.py
    throughput_table(cases)

A record has ``kind`` "training-throughput", ``schema_version`` 1, and ``cases``: one object per backend, precision and
network.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError
from edgefer.report.tables import Table
from edgefer.results import schema
from ledgers.entries import require

__all__ = ["Case", "read_throughput", "throughput_table"]

KIND = "training-throughput"
SCHEMA_VERSION = 1
PIPELINES = ("edgefer", "generator", "tf.data")
HEADERS = ("network", "backend", "precision", *PIPELINES, "to generator", "to tf.data", "input, %")
LEGEND = (
    "Images per second, median of the rounds with their range; the pipelines trained in turns on {cpu}, {cores} cores. "
    "generator: fit() on ImageDataGenerator. tf.data: fit() on a tf.data.Dataset with preprocessing layers. "
    "to ...: edgefer relative to the other pipeline. input: share of the time in which edgefer assembles batches."
)


@dataclass(frozen=True)
class Case:
    """One network on one backend.

    Attributes:
        system: settings of the network.
        backend: Keras backend.
        precision: "float32" or "bfloat16".
        images_per_s: images per second of each round, by pipeline.
        input_share: share of the time in which batches are assembled, in 0..1.
        cpu, cores: processor.
    """

    system: str
    backend: str
    precision: str
    images_per_s: Mapping[str, tuple[float, ...]]
    input_share: float
    cpu: str
    cores: int

    def median(self, pipeline: str) -> float:
        """Return the median of the images per second of a pipeline."""
        return statistics.median(self.images_per_s[pipeline])


def read_throughput(fields: Mapping[str, Any]) -> tuple[Case, ...]:
    """Read a record of kind "training-throughput".

    Raises:
        DataError: the record has another kind, or a case is invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(fields, cases=list, cpu=(str, type(None)), cores=int)
    return tuple(_case(entry, fields["cpu"] or "an unknown processor", fields["cores"]) for entry in fields["cases"])


def _case(entry: Mapping[str, Any], cpu: str, cores: int) -> Case:
    require(
        entry, system=str, backend=str, precision=str, images_per_s=dict, input_share=(int, float)
    )  # fmt: skip
    speeds = {name: tuple(map(float, entry["images_per_s"].get(name, ()))) for name in PIPELINES}
    if not all(speeds.values()):
        raise DataError(f"the case {entry['system']} on {entry['backend']} lacks the speeds of a pipeline")
    return Case(entry["system"], entry["backend"], entry["precision"], speeds, float(entry["input_share"]), cpu, cores)


def throughput_table(cases: Sequence[Case]) -> Table:
    """Tabulate the cases, one row each, in the order of the record."""
    rows = [
        [
            case.system,
            case.backend,
            case.precision,
            *(_speeds(case, pipeline) for pipeline in PIPELINES),
            *(f"{case.median('edgefer') / case.median(other):.2f}" for other in PIPELINES[1:]),
            f"{100 * case.input_share:.1f}",
        ]
        for case in cases
    ]
    first = cases[0] if cases else None
    legend = LEGEND.format(cpu=first.cpu if first else "no processor", cores=first.cores if first else 0)
    return Table(HEADERS, rows, legend, text_columns=3, is_markdown=True)


def _speeds(case: Case, pipeline: str) -> str:
    speeds = case.images_per_s[pipeline]
    return f"{case.median(pipeline):,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f})"
