"""Count instructions and compare outputs of models on an emulated arm64 board.

    python benchmarks/arm64_emulated.py BOARD_SH FOLDER MODEL... --tflite-python OLD/bin/python --out RESULTS

BOARD_SH is a script that builds an arm64 Debian with qemu's user emulation in FOLDER and runs commands in it (verbs
build, count and exec; BOARD_MODEL selects the processor). Times under emulation are meaningless, so none is measured.

Outputs are meaningful: each face runs through each runtime on this machine and on the board. Instruction counts are
meaningful too: qemu counts every executed instruction, and the difference between two marks around some runs, divided
by their number, is the count of one inference. It is the same every time, and ranks models for a processor without the
board.

The script writes one RESULTS/<model>.arm64.json of kind "arm64" per MODEL.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.artifact import Artifact
from edgefer.deploy.bundle import bundle
from edgefer.inference.interpreters import installed_runtimes, run_model
from edgefer.results import schema
from edgefer.results.parity import Configuration
from edgefer.search.judges.emulated import COUNT, PYTHONS, RUNS

PROCESSORS = {"pi3": "Pi 3", "pi4": "Pi 4", "pi5": "Pi 5"}
# Folder on the board.
BOARD_FOLDER = "/var/tmp/edgefer-arm64"


class Board:
    """An emulated board in a folder."""

    def __init__(self, script: Path, folder: Path) -> None:
        self.script, self.folder = script, folder
        self._call("build")
        self._call("count")
        self.root = folder / "rootfs"
        (self.root / BOARD_FOLDER.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self.write("edgefer.pyz", bundle())
        self.write("count.py", COUNT.encode())

    def _call(self, verb: str, *arguments: str, processor: str = "pi4") -> str:
        command = ["bash", str(self.script), verb, str(self.folder), *arguments]
        environment = {**os.environ, "BOARD_MODEL": processor}
        completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if completed.returncode:
            sys.exit(f"{' '.join(command)} failed with exit code {completed.returncode}:\n{completed.stderr[-2000:]}")
        return completed.stdout + completed.stderr

    def write(self, name: str, content: bytes) -> str:
        """Write a file to the board and return its path there."""
        files.write_bytes(self.root / BOARD_FOLDER.lstrip("/") / name, content)
        return f"{BOARD_FOLDER}/{name}"

    def run(self, *command: str, processor: str = "pi4") -> str:
        """Run a command on the board, with edgefer on its import path, and return its output."""
        return self._call("exec", "env", f"PYTHONPATH={BOARD_FOLDER}/edgefer.pyz", *command, processor=processor)

    def execute(self, model: bytes, faces: npt.NDArray[np.uint8], runtime: str, processor: str) -> npt.NDArray[Any]:
        """Run faces through a model on the board, as edgefer.inference.interpreters.run_model() does here."""
        folder = self.root / BOARD_FOLDER.lstrip("/")
        request, reply = folder / "request.npz", folder / "reply.npz"
        reply.unlink(missing_ok=True)
        configuration = json.dumps(asdict(Configuration(runtime)))
        np.savez(request, model=np.frombuffer(model, np.uint8), faces=faces, configuration=configuration)
        paths = f"{BOARD_FOLDER}/{reply.name}", f"{BOARD_FOLDER}/{request.name}"
        self.run(PYTHONS[runtime], "-m", "edgefer.inference.interpreters", *paths, processor=processor)
        with np.load(reply, allow_pickle=False) as arrays:
            if "error" in arrays.files:
                sys.exit(str(arrays["error"]))
            return np.asarray(arrays["outputs"])

    def instructions(self, model: str, runtime: str, processor: str) -> int:
        """Count the instructions of one inference (set, invoke and get) with one thread."""
        output = self.run("icount", PYTHONS[runtime], f"{BOARD_FOLDER}/count.py", model, runtime, processor=processor)
        marks = dict(re.findall(r"icount mark (\d+) (\d+)", output))
        return round((int(marks["1"]) - int(marks["0"])) / RUNS)


def main() -> None:
    """Measure each model and write its record."""
    options = _options()
    board = Board(options.board_script, options.folder.resolve())
    faces, data = _faces(options.data, options.faces)
    for path in options.models:
        artifact = Artifact.load(path)
        board_path = board.write(path.name, path.read_bytes())
        counts = {
            runtime: {name: board.instructions(board_path, runtime, key) for key, name in PROCESSORS.items()}
            for runtime in PYTHONS
        }
        parity = [_compare(board, artifact, faces, runtime, options.tflite_python) for runtime in PYTHONS if len(faces)]
        record = {
            **schema.header("arm64", 1),
            "subject": {
                "file": path.name, "sha256": artifact.sha256, "scheme": artifact.scheme,
                "size_bytes": len(artifact.model),
            },
            "data": data,
            "faces": len(faces),
            "parity": parity,
            "instructions": counts,
        }  # fmt: skip
        out = options.out / f"{path.stem}.arm64.json"
        files.write_text(out, json.dumps(record, indent=1) + "\n")
        print(f"{out}: {json.dumps(counts)}, {json.dumps(parity)}")  # noqa: T201 - a script reports its results


def _compare(
    board: Board, artifact: Artifact, faces: npt.NDArray[np.uint8], runtime: str, tflite_python: str
) -> dict[str, Any]:
    """Compare the outputs of one runtime on this machine and on each board."""
    golden = artifact.golden
    python = tflite_python if runtime == "tflite_runtime" else ""
    inputs = np.concatenate([golden.inputs, faces])
    local = run_model(artifact.model, inputs, Configuration(runtime, python=python))
    processors = {}
    for key, name in PROCESSORS.items():
        remote = board.execute(artifact.model, inputs, runtime, key)
        worst = float(golden.difference(remote[: len(golden.inputs)]).max())
        one, two = local[len(golden.inputs) :], remote[len(golden.inputs) :]
        processors[name] = {
            "identical": float((one == two).all(axis=1).mean()),
            "largest_difference": float(np.abs(one.astype(np.float64) - two.astype(np.float64)).max()),
            "top1_agreement": float((one.argmax(axis=1) == two.argmax(axis=1)).mean()),
            "golden_worst": worst,
            "golden_ok": bool(worst <= golden.tolerance),
        }
    return {"runtime": runtime, "version": installed_runtimes(python).runtimes[runtime], "boards": processors}


def _faces(data: Path | None, count: int) -> tuple[npt.NDArray[np.uint8], str]:
    from edgefer.contract.preprocessing import InputSpec, prepare_all
    from edgefer.data.dataset import load, synthetic_dataset

    dataset = load(data) if data else synthetic_dataset()
    split = dataset.split("PublicTest")
    chosen = np.linspace(0, len(split.pixels) - 1, min(count, len(split.pixels))).astype(np.int64)
    return prepare_all(split.pixels[chosen], InputSpec()), f"PublicTest of {data.name if data else 'synthetic faces'}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board_script", type=Path, metavar="BOARD_SH")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--data", type=Path, help="fer2013.csv; default: synthetic faces")
    parser.add_argument("--faces", type=int, default=500, help="faces from PublicTest; 0 only counts")
    parser.add_argument("--tflite-python", required=True, help="local Python with tflite-runtime 2.14")
    parser.add_argument("--out", type=Path, required=True, help="folder for the records")
    return parser.parse_args()


if __name__ == "__main__":
    main()
