"""Measure the memory of training, calibration, quantization and evaluation on a data set larger than the memory.

    python benchmarks/bounded_memory.py --folder /var/tmp --out benchmarks/results/bounded-memory.json

The script draws 450,000 color faces of 96 x 96 pixels as JPEG files, in a folder that it removes at the end. Their
pixels take 12.4 GB. Each command of edgefer runs in a process of its own, whose largest resident memory the system
reports; pages of mapped files count. The first command reads the pictures into a cache, and the others read the cache.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgefer import files
from edgefer.contract.labels import LABELS
from edgefer.data import synthetic
from edgefer.device import description
from edgefer.results import schema

__all__ = ["main", "measure", "write_faces"]

SIDE = 96
STEPS = ("train", "calibrate", "quantize", "evaluate")
# Shares of the splits in percent: folders of an image tree.
SPLITS = {"train": 90, "val": 5, "test": 5}
DRAWN = 700
JPEG_QUALITY = 80
# The benchmark measures the input of data, so the network is hardly slower than the input.
NETWORK = """
def build(keras, *, input_shape, classes):
    inputs = keras.Input(input_shape, name="face")
    x = keras.layers.Conv2D(8, 8, strides=8, activation="relu", name="patches")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, name="logits")(x), name="patches")
"""
TRAINING = (
    "--epochs", "1", "--augment", "none", "--set", "batch_size=128", "--set", f"input.height={SIDE}",
    "--set", f"input.width={SIDE}", "--set", "input.channels=rgb",
)  # fmt: skip


def main() -> None:
    """Parse the command line, run the benchmark and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=450_000, help="number of faces (default: %(default)s)")
    parser.add_argument("--folder", type=Path, required=True, help="disk with 32 KB for each face")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgefer-faces-", dir=options.folder) as folder:
        record = measure(Path(folder), options.faces)
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")


def measure(folder: Path, count: int, *, steps: Sequence[str] = STEPS) -> dict[str, Any]:
    """Draw the faces, run the commands and return the record.

    Args:
        folder: folder to create for the faces, the cache and the run; or an empty one.
        count: number of faces.
        steps: names of the commands; the first is "train".
    """
    counts = write_faces(folder / "faces", count)
    network, run, calibration = folder / "patches.py", folder / "run", folder / "calibration.csv"
    network.write_text(NETWORK, encoding="utf-8")
    data = ("--data", str(folder / "faces"), "--architecture", str(network))
    commands = {
        "train": ("train", *data, *TRAINING, "--run", str(run)),
        "calibrate": ("calibrate", str(calibration), "--run", str(run)),
        "quantize": ("quantize", "--int8", str(run), "--calibration", str(calibration)),
        "evaluate": ("evaluate", str(run), "--split", "private"),
    }
    measured = [_step(folder, name, commands[name]) for name in steps]
    with (run / "history.csv").open(encoding="utf-8") as file:
        (epoch,) = csv.DictReader(file)
    return {
        **schema.header("bounded_memory", 1),
        "device": description.describe(),
        "faces": count,
        "shape": [SIDE, SIDE, 3],
        "pixel_bytes": count * SIDE * SIDE * 3,
        "cache_bytes": sum(file.stat().st_size for file in (folder / "cache" / "edgefer").glob("*.np?")),
        "training_images": counts["train"],
        "training_epoch_s": float(epoch["duration_s"]),
        "training_images_per_s": round(counts["train"] / float(epoch["duration_s"]), 1),
        "steps": measured,
    }


def write_faces(folder: Path, count: int) -> dict[str, int]:
    """Write color faces of 96 x 96 pixels as an image tree of JPEG files; no two faces are equal.

    Args:
        folder: folder to create.
        count: number of faces in all splits.

    Returns:
        The number of faces by split folder.
    """
    folder.mkdir(parents=True)
    drawn, labels = synthetic.draw(DRAWN, seed=0)
    bank = [cv2.resize(face, (SIDE + 16, SIDE + 16), interpolation=cv2.INTER_LINEAR) for face in drawn]
    counts = {split: count * share // 100 for split, share in SPLITS.items()}
    generator, serial = np.random.default_rng(0), 0
    for split, number in counts.items():
        for name in LABELS:
            (folder / split / name).mkdir(parents=True)
        for index in range(number):
            chosen = int(generator.integers(DRAWN))
            top, left, *tint = generator.integers([0, 0, 140, 140, 140], [17, 17, 256, 256, 256]).tolist()
            gray = bank[chosen][top : top + SIDE, left : left + SIDE, None].astype(np.uint16)
            color = (gray * np.array(tint, np.uint16) >> 8).astype(np.uint8)
            # A serial number, as a row of black and white squares, makes any two faces different.
            for bit in range(20):
                color[2:6, 4 * bit + 8 : 4 * bit + 12] = 255 * (serial >> bit & 1)
            serial += 1
            _, content = cv2.imencode(".jpg", color, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            name = LABELS[labels[chosen]]
            (folder / split / name / f"{split}_{index:06d}.jpg").write_bytes(content.tobytes())
    return counts


def _step(folder: Path, name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a command of edgefer and return its largest resident memory and its duration.

    Raises:
        SystemExit: the command fails; its output is the message.
    """
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    started_ns = time.monotonic_ns()
    with (folder / f"{name}.log").open("w+b") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgefer", *arguments], cwd=folder, env=environment, stdout=log, stderr=log
        )
        # wait4() returns the resources of this process only, unlike getrusage().
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(arguments)}\n{log.read().decode(errors='replace')[-4000:]}")
    shown = [argument.replace(str(folder), "FOLDER") for argument in arguments]
    return {
        "name": name,
        "command": " ".join(["edgefer", *shown]),
        "peak_resident_bytes": usage.ru_maxrss * 1024,
        "wall_s": round((time.monotonic_ns() - started_ns) / 1e9, 1),
    }


if __name__ == "__main__":
    main()
