"""emulated: instructions of one inference on an emulated arm64 board, equal in every run. They are no times.

The option ``script`` names a program with the verbs "build FOLDER", "count FOLDER" and "exec FOLDER COMMAND...", which
run an arm64 Debian in FOLDER; $BOARD_MODEL selects its processor. On the board, ``icount PROGRAM ...`` prints the
number of instructions at each call of getsid(0x7E570000 + mark). It needs root.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgefer import files
from edgefer.deploy.bundle import bundle
from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.search.judge import Cost

__all__ = ["COUNT", "DESCRIPTION", "OPTIONS", "PYTHONS", "RUNS", "EmulatedJudge", "open_judge"]

DESCRIPTION = "instructions on an emulated arm64 board"
OPTIONS = {
    "script": "program that builds and runs the board", "folder": "folder of the board",
    "processor": "pi3, pi4 (default) or pi5", "python": "interpreter on the board, with a runtime",
    "runtime": "litert (default) or tflite_runtime",
}  # fmt: skip
PROCESSORS = ("pi3", "pi4", "pi5")
PYTHONS = {"litert": "/opt/litert/bin/python", "tflite_runtime": "/opt/tflite/bin/python"}
BOARD_FOLDER = "/var/tmp/edgefer-search"
RUNS = 5
# Program on the board: MODEL RUNTIME; RUNS inferences between two marks.
COUNT = f"""
import os, sys
from pathlib import Path
from edgefer.contract.artifact import Artifact
from edgefer.inference.classifier import Classifier
from edgefer.inference.runtime import select_runtime
artifact = Artifact.load(Path(sys.argv[1]))
runtime = select_runtime(sys.argv[2]).open_model(artifact.model, threads=1)
face = Classifier(artifact, runtime).encode(artifact.golden.inputs[0])
def mark(tag):
    try:
        os.getsid(0x7E570000 + tag)  # The counter writes its total at this call, which always fails.
    except OSError:
        pass
for tag in (0, 1):
    for _ in range({RUNS}):
        runtime.set_input(face)
        runtime.invoke()
        runtime.get_output()
    mark(tag)
"""
POLL_S = 0.2


class EmulatedJudge:
    """A counter of instructions on an emulated board."""

    unit, places = "instructions", 1

    def __init__(self, script: Path, folder: Path, *, processor: str, runtime: str, python: str) -> None:
        self._script, self._folder = script.resolve(), folder.resolve()
        self._processor, self._runtime, self._python = processor, runtime, python
        self.description = f"instructions on an emulated {processor}, {runtime}"

    def check(self) -> None:
        """Build the board, which is quick if it exists, and copy edgefer to it."""
        for verb in ("build", "count"):
            self._call(verb, stop=threading.Event())
        files.write_bytes(self._board_path("edgefer.pyz"), bundle())
        files.write_text(self._board_path("count.py"), COUNT)

    def measure(self, model: Path, *, place: int, stop: threading.Event) -> Cost:
        """Count the instructions of one inference (set, invoke and get) with one thread.

        Raises:
            DeviceUnreachable: the board does not run the model.
        """
        files.write_bytes(self._board_path("candidate.tflite"), model.read_bytes())
        output = self._call(
            "exec", "env", f"PYTHONPATH={BOARD_FOLDER}/edgefer.pyz", "icount", self._python,
            f"{BOARD_FOLDER}/count.py", f"{BOARD_FOLDER}/candidate.tflite", self._runtime, stop=stop,
        )  # fmt: skip
        marks = dict(re.findall(r"icount mark (\d+) (\d+)", output))
        if not {"0", "1"} <= set(marks):
            why = (output.strip().splitlines() or ["no output"])[-1][:300]
            raise DeviceUnreachable(f"{self.description}: no count", why=why)
        return Cost(float(round((int(marks["1"]) - int(marks["0"])) / RUNS)), f"emulated {self._processor}")

    def _board_path(self, name: str) -> Path:
        return self._folder / "rootfs" / BOARD_FOLDER.lstrip("/") / name

    def _call(self, verb: str, *arguments: str, stop: threading.Event) -> str:
        """Run the script and return its output."""
        command = ["bash", str(self._script), verb, str(self._folder), *arguments]
        environment = {**os.environ, "BOARD_MODEL": self._processor}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            stdin=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            output = ""
            try:
                while True:
                    try:
                        output, _ = process.communicate(timeout=POLL_S)
                        break
                    except subprocess.TimeoutExpired:
                        if stop.is_set():
                            raise DeviceUnreachable(f"{self.description}: the search ended") from None
            finally:
                process.terminate()
        if process.returncode:
            why = (output.strip().splitlines() or ["no output"])[-1][:300]
            what = f"{self._script.name} {verb} {self._folder} failed with exit code {process.returncode}"
            raise DeviceUnreachable(what, why=why, hint=f"run it alone: bash {self._script} {verb} {self._folder}")
        return output


def open_judge(options: Mapping[str, str], devices: Sequence[str]) -> EmulatedJudge:
    """Create the judge."""
    if devices:
        raise UsageError("--device with the judge emulated", why="it runs its own board", hint="omit --device")
    hint = "--judge emulated:script=board.sh,folder=board"
    for name in ("script", "folder"):
        if name not in options:
            raise UsageError(f"the judge emulated without {name}", why=OPTIONS[name], hint=hint)
    script = Path(options["script"])
    processor, runtime = options.get("processor", "pi4"), options.get("runtime", "litert")
    if not script.is_file():
        raise UsageError(f"{script} does not exist", why="it builds and runs the board", hint=hint)
    if processor not in PROCESSORS:
        raise UsageError(f"processor={processor}", why=f"expected one of {', '.join(PROCESSORS)}", hint=hint)
    if runtime not in PYTHONS:
        raise UsageError(f"runtime={runtime}", why=f"expected one of {', '.join(PYTHONS)}", hint=hint)
    python = options.get("python", PYTHONS[runtime])
    return EmulatedJudge(script, Path(options["folder"]), processor=processor, runtime=runtime, python=python)
