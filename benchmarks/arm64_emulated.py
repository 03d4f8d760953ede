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
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.artifact import Artifact
from edgefer.fleet.emulated_board import BOARD_FOLDER, PYTHONS, EmulatedBoard
from edgefer.inference.interpreters import installed_runtimes, run_model, run_request
from edgefer.results import schema
from edgefer.results.parity import Configuration

PROCESSORS = {"pi3": "Pi 3", "pi4": "Pi 4", "pi5": "Pi 5"}


def execute(
    board: EmulatedBoard, artifact: Artifact, faces: npt.NDArray[np.uint8], runtime: str, processor: str
) -> npt.NDArray[Any]:
    """Run faces through a model on the board, as edgefer.inference.interpreters.run_model() does here."""
    arrays = io.BytesIO()
    np.savez(arrays, model=np.frombuffer(artifact.model, np.uint8), faces=faces)
    outputs = board.local_path("outputs.npy")
    outputs.unlink(missing_ok=True)
    request = run_request(
        Configuration(runtime), artifact.input_spec, arrays=board.write("arrays.npz", arrays.getvalue()),
        outputs=f"{BOARD_FOLDER}/{outputs.name}", trusted=True,
    )  # fmt: skip
    paths = board.write("request.json", json.dumps(request).encode()), f"{BOARD_FOLDER}/reply.json"
    board.run(PYTHONS[runtime], "-m", "edgefer.inference.interpreters", *paths, processor=processor)
    return np.asarray(np.load(outputs, allow_pickle=False))


def main() -> None:
    """Measure each model and write its record."""
    options = _options()
    board = EmulatedBoard(options.board_script, options.folder)
    board.prepare()
    faces, data = _faces(options.data, options.faces)
    for path in options.models:
        artifact = Artifact.load(path)
        counts = {
            runtime: {
                name: board.count(artifact.model, processor=key, runtime=runtime).total
                for key, name in PROCESSORS.items()
            }
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
    board: EmulatedBoard, artifact: Artifact, faces: npt.NDArray[np.uint8], runtime: str, tflite_python: str
) -> dict[str, Any]:
    """Compare the outputs of one runtime on this machine and on each board."""
    golden = artifact.golden
    python = tflite_python if runtime == "tflite_runtime" else ""
    inputs = np.concatenate([golden.inputs, faces])
    local = run_model(artifact.model, inputs, Configuration(runtime, python=python))
    processors = {}
    for key, name in PROCESSORS.items():
        remote = execute(board, artifact, inputs, runtime, key)
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
