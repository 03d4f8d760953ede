"""emulated: instructions of one inference on an emulated arm64 board, which repeat to within 0.1 %. They are no times.

edgefer.fleet.emulated_board describes the program ``script``. It needs root.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgefer.errors import UsageError
from edgefer.fleet import emulated_board
from edgefer.fleet.emulated_board import PROCESSORS, PYTHONS, EmulatedBoard, open_emulated_board
from edgefer.search.judge import Cost

__all__ = ["DESCRIPTION", "OPTIONS", "EmulatedJudge", "open_judge"]

DESCRIPTION = "instructions on an emulated arm64 board"
OPTIONS = {
    **emulated_board.OPTIONS, "processor": "pi3, pi4 (default) or pi5",
    "python": "interpreter on the board, with a runtime", "runtime": "litert (default) or tflite_runtime",
}  # fmt: skip


class EmulatedJudge:
    """A counter of instructions on an emulated board."""

    unit, places = "instructions", 1

    def __init__(self, board: EmulatedBoard, *, processor: str, runtime: str, python: str) -> None:
        self._board = board
        self._processor, self._runtime, self._python = processor, runtime, python
        self.description = f"instructions on an emulated {processor}, {runtime}"

    def check(self) -> None:
        """Build the board, which is quick if it exists, and copy edgefer to it."""
        self._board.prepare()

    def measure(self, model: Path, *, place: int, stop: threading.Event) -> Cost:
        """Count the instructions of one inference (set, invoke and get) with one thread.

        Raises:
            DeviceUnreachable: the board does not run the model.
        """
        counts = self._board.count(
            model.read_bytes(), processor=self._processor, runtime=self._runtime, python=self._python, stop=stop
        )
        return Cost(float(counts.total), f"emulated {self._processor}")


def open_judge(options: Mapping[str, str], devices: Sequence[str]) -> EmulatedJudge:
    """Create the judge."""
    if devices:
        raise UsageError("--device with the judge emulated", why="it runs its own board", hint="omit --device")
    processor, runtime = options.get("processor", "pi4"), options.get("runtime", "litert")
    for name, value, known in (("processor", processor, PROCESSORS), ("runtime", runtime, PYTHONS)):
        if value not in known:
            hint = "--judge emulated:script=board.sh,folder=board"
            raise UsageError(f"{name}={value}", why=f"expected one of {', '.join(known)}", hint=hint)
    board = open_emulated_board(options)
    return EmulatedJudge(board, processor=processor, runtime=runtime, python=options.get("python", ""))
