"""The memory of each command on a data set larger than the memory.

    memory = read_memory(fields)                    # from benchmarks/bounded_memory.py
    memory_table(memory)

A record has ``kind`` "bounded_memory", ``schema_version`` 1, the size of the data set, and ``steps``: one object per
command, in the order in which they ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError
from edgefer.report.tables import Table
from edgefer.results import schema
from ledgers.entries import require

__all__ = ["BoundedMemory", "Step", "memory_table", "read_memory"]

KIND = "bounded_memory"
SCHEMA_VERSION = 1
HEADERS = ("command", "largest resident memory, GB", "duration, s")


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: name of the command.
        peak_resident_bytes: largest resident memory of its process.
        wall_s: duration in seconds.
    """

    name: str
    peak_resident_bytes: int
    wall_s: float

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Step:
        """Read one entry.

        Raises:
            DataError: a field is missing or invalid.
        """
        require(fields, name=str, peak_resident_bytes=int, wall_s=(int, float))
        if fields["peak_resident_bytes"] <= 0 or fields["wall_s"] <= 0:
            raise DataError(f"step {fields['name']!r}: memory and duration must be above 0")
        return cls(fields["name"], fields["peak_resident_bytes"], fields["wall_s"])


@dataclass(frozen=True)
class BoundedMemory:
    """All commands on one data set.

    Attributes:
        faces: number of faces.
        shape: height, width and channels of a face.
        pixel_bytes: size of all pixels.
        training_images: faces of an epoch.
        training_images_per_s: rate of the epoch.
        steps: the commands.
    """

    faces: int
    shape: tuple[int, ...]
    pixel_bytes: int
    training_images: int
    training_images_per_s: float
    steps: tuple[Step, ...]


def read_memory(fields: Mapping[str, Any]) -> BoundedMemory:
    """Read a record of kind "bounded_memory".

    Raises:
        DataError: the record has another kind, or an entry is invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(
        fields, faces=int, shape=list, pixel_bytes=int, training_images=int, training_images_per_s=(int, float),
        steps=list,
    )  # fmt: skip
    return BoundedMemory(
        faces=fields["faces"],
        shape=tuple(fields["shape"]),
        pixel_bytes=fields["pixel_bytes"],
        training_images=fields["training_images"],
        training_images_per_s=fields["training_images_per_s"],
        steps=tuple(map(Step.from_json, fields["steps"])),
    )


def memory_table(memory: BoundedMemory) -> Table:
    """Tabulate the commands, one row each."""
    rows = [[step.name, f"{step.peak_resident_bytes / 1e9:.2f}", f"{step.wall_s:,.0f}"] for step in memory.steps]
    legend = (
        f"{memory.faces:,} synthetic faces of {' x '.join(map(str, memory.shape))}, {memory.pixel_bytes / 1e9:.1f} GB "
        f"of pixels. train also reads the pictures into the cache; its epoch of {memory.training_images:,} images ran "
        f"at {memory.training_images_per_s:,.0f} images/s with a network of one convolution. Other processes shared "
        "the two cores."
    )
    return Table(HEADERS, rows, legend, text_columns=1)
