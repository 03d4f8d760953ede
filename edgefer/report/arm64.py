"""What benchmarks/arm64_emulated.py found, as tables: instructions of an inference, and answers compared with x86-64.

    Arm64.from_json(fields)
    arm64_tables(records)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.report.tables import Table
from edgefer.results import schema

__all__ = ["Arm64", "arm64_tables"]

KIND = "arm64"
SCHEMA_VERSION = 1
NUMBER = (int, float)


@dataclass(frozen=True)
class Arm64:
    """One model on emulated arm64 boards.

    Attributes:
        file: of the model.
        sha256: of the flatbuffer; None where the record does not say.
        data, faces: what was run through it.
        instructions: of an inference with one thread, by runtime and board.
        parity: by runtime and board, against the same runtime on x86-64: ``identical``, share of faces whose outputs
            are all equal; ``largest_difference`` of an output, in steps; ``top1_agreement``; ``golden_ok``.
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
            DataError: it is none, or lacks a field.
            IncompatibleError: a later schema version.
        """
        schema.validate(fields, KIND, SCHEMA_VERSION)
        schema.require(fields, subject=dict, data=str, faces=int, instructions=dict, parity=list)
        schema.require(fields["subject"], file=str)
        for counted in fields["instructions"].values():
            schema.require(counted, **dict.fromkeys(counted, int))
        parity = {each["runtime"]: each["boards"] for each in fields["parity"]}
        for board in (board for boards in parity.values() for board in boards.values()):
            schema.require(board, identical=NUMBER, top1_agreement=NUMBER, largest_difference=NUMBER, golden_ok=bool)
        subject, counts = fields["subject"], fields["instructions"]
        return cls(subject["file"], subject.get("sha256"), fields["data"], fields["faces"], counts, parity)

    @property
    def model(self) -> str:
        """The file's name without .tflite."""
        return self.file.removesuffix(".tflite")


def arm64_tables(found: Sequence[Arm64]) -> list[Table]:
    """The counts, and the answers where they were compared."""
    if not found:
        return []
    boards = list(dict.fromkeys(board for each in found for counts in each.instructions.values() for board in counts))
    instructions = [
        [each.model, runtime, *(f"{counts[board] / 1e6:.2f}" if board in counts else None for board in boards)]
        for each in found
        for runtime, counts in each.instructions.items()
    ]
    counted = "Million instructions of an inference, one thread, counted."
    tables = [Table(("model", "runtime", *boards), instructions, counted)]
    parity = [
        [each.model, runtime, *_worst(list(boards_of.values()))]
        for each in found
        for runtime, boards_of in each.parity.items()
    ]
    if parity:
        data = ", ".join(dict.fromkeys(f"{each.faces:,} faces of {each.data}" for each in found if each.parity))
        compared = f"Against the same runtime on x86-64, the worst of the boards: {data}."
        headers = ("model", "runtime", "same outputs, %", "same label, %", "largest step", "golden")
        short = ("model", "runtime", "same\noutputs, %", "same\nlabel, %", "largest\nstep", "golden")
        tables.append(Table(headers, parity, compared, narrow=Table(short, parity, compared)))
    return tables


def _worst(boards: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{100 * min(each['identical'] for each in boards):.2f}",
        f"{100 * min(each['top1_agreement'] for each in boards):.2f}",
        f"{max(each['largest_difference'] for each in boards):g}",
        "ok" if all(each["golden_ok"] for each in boards) else "off",
    ]
