"""Models on emulated arm64 boards: instructions per inference, and outputs compared with x86-64.

    record = Arm64.from_json(fields)                # from benchmarks/arm64_emulated.py
    instructions_table([record]), parity_table([record])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.report.tables import Table
from edgefer.results import schema
from ledgers.entries import require

__all__ = ["Arm64", "instructions_table", "parity_table"]

KIND = "arm64"
SCHEMA_VERSION = 1
NUMBER = (int, float)
PARITY_HEADERS = ("model", "runtime", "same\noutputs, %", "same\nlabel, %", "largest\nstep", "golden")


@dataclass(frozen=True)
class Arm64:
    """One model on emulated arm64 boards.

    Attributes:
        file: file name of the model.
        sha256: SHA-256 of the flatbuffer; None where the record does not contain it.
        data: description of the faces.
        faces: number of faces.
        instructions: instructions per inference with one thread, by runtime and board.
        parity: comparison with the same runtime on x86-64, by runtime and board: ``identical``, the share of faces with
            equal outputs; ``largest_difference`` of an output, in steps; ``top1_agreement``; ``golden_ok``.
    """

    file: str
    sha256: str | None
    data: str
    faces: int
    instructions: Mapping[str, Mapping[str, int]]
    parity: Mapping[str, Mapping[str, Mapping[str, Any]]]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Arm64:
        """Read a record of kind "arm64".

        Raises:
            DataError: the record has another kind, or a field is missing or invalid.
            IncompatibleError: the schema version is newer than this script supports.
        """
        schema.read(fields, KIND, SCHEMA_VERSION)
        require(fields, subject=dict, data=str, faces=int, instructions=dict, parity=list)
        require(fields["subject"], file=str)
        for counts in fields["instructions"].values():
            require(counts, **dict.fromkeys(counts, int))
        parity = {entry["runtime"]: entry["boards"] for entry in fields["parity"]}
        for board in (board for boards in parity.values() for board in boards.values()):
            require(board, identical=NUMBER, top1_agreement=NUMBER, largest_difference=NUMBER, golden_ok=bool)
        subject, counts = fields["subject"], fields["instructions"]
        return cls(subject["file"], subject.get("sha256"), fields["data"], fields["faces"], counts, parity)

    @property
    def model(self) -> str:
        """File name without .tflite."""
        return self.file.removesuffix(".tflite")


def instructions_table(records: Sequence[Arm64]) -> Table:
    """Tabulate instructions per inference, one row per model and runtime."""
    boards = list(
        dict.fromkeys(board for record in records for counts in record.instructions.values() for board in counts)
    )
    rows = [
        [record.model, runtime, *(f"{counts[board] / 1e6:.2f}" if board in counts else None for board in boards)]
        for record in records
        for runtime, counts in record.instructions.items()
    ]
    return Table(("model", "runtime", *boards), rows, "Million instructions per inference, counted, with one thread.")


def parity_table(records: Sequence[Arm64]) -> Table | None:
    """Tabulate outputs compared with x86-64, the worst board of each model and runtime; None without any."""
    compared = [record for record in records if record.parity]
    if not compared:
        return None
    rows = [
        [record.model, runtime, *_worst(list(boards.values()))]
        for record in compared
        for runtime, boards in record.parity.items()
    ]
    data = ", ".join(dict.fromkeys(f"{record.faces:,} faces of {record.data}" for record in compared))
    legend = f"Compared with the same runtime on x86-64, on the worst board: {data}."
    headers = tuple(header.replace("\n", " ") for header in PARITY_HEADERS)
    return Table(headers, rows, legend, narrow=Table(PARITY_HEADERS, rows, legend))


def _worst(boards: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{100 * min(board['identical'] for board in boards):.2f}",
        f"{100 * min(board['top1_agreement'] for board in boards):.2f}",
        f"{max(board['largest_difference'] for board in boards):g}",
        "ok" if all(board["golden_ok"] for board in boards) else "off",
    ]
