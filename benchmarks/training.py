"""Measure the training throughput of edgefer beside two common input pipelines of Keras, in turns.

    python benchmarks/training.py --out benchmarks/results/training.json

Every pipeline trains the same network on the same synthetic faces, with the same augmentation (flip, rotation, shift
and zoom), optimizer and batch size:

- edgefer: Trainer.run_epoch(), whose augmentation is a layer of the model.
- generator: fit() on ImageDataGenerator.flow(), which augments with SciPy in Python.
- tf.data: fit() on a tf.data.Dataset that maps the preprocessing layers of Keras, in parallel and with prefetching.

The record has kind "training-throughput". For each backend, precision and network it contains the images per second of
each round, and the share of an edgefer step in which batches are assembled on the processor. Each backend runs in a
process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgefer import files
from edgefer.data.dataset import Split
from edgefer.data.synthetic import draw
from edgefer.device import sysfs
from edgefer.results import schema
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.epoch_data import make_epoch
from edgefer.workstation.training.settings import Augment, TrainSettings
from edgefer.workstation.training.trainer import Trainer
from edgefer.workstation.workflows.train import load_system

BACKENDS = ("tensorflow", "jax")
PRECISIONS = ("float32", "bfloat16")
SYSTEMS = ("two_conv", "nano", "three_block")
AUGMENT = Augment(flip=True, rotation_degrees=10.0, shift=0.1, zoom=0.1)
BATCH = 64
CLASSES = 7
RATE = 0.01


def main() -> None:
    """Measure one backend in this process, or all of them in subprocesses."""
    options = _options()
    if options.backend:
        print(json.dumps([_measure(system, options) for system in options.systems]))  # noqa: T201 - read by the parent
        return
    measured = [
        case
        for backend in options.backends
        for precision in options.precisions
        for case in _in_subprocess(backend, precision, options)
    ]
    record = {
        **schema.header("training-throughput", 1),
        "cpu": sysfs.cpu_model(),
        "cores": os.cpu_count(),
        "images": options.images,
        "batch_size": BATCH,
        "cases": measured,
    }
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")


def _in_subprocess(backend: str, precision: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all systems on a backend in a subprocess."""
    command = [
        sys.executable, __file__, "--backend", backend, "--precision", precision, "--images", str(options.images),
        "--rounds", str(options.rounds), "--systems", *options.systems, "--out", os.devnull,
    ]  # fmt: skip
    ended = subprocess.run(
        command, env={**os.environ, "KERAS_BACKEND": backend}, stdout=subprocess.PIPE, text=True, check=True
    )
    cases: list[dict[str, Any]] = json.loads(ended.stdout.splitlines()[-1])
    return cases


def _measure(system: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train a system in turns with each pipeline, and return the images per second of each round."""
    keras = load_keras()
    settings = dataclasses.replace(
        load_system(system), augment=AUGMENT, batch_size=BATCH, precision=options.precision, optimizer="sgd",
        learning_rate=RATE, label_smoothing=0.0, class_weights="none", oversampling=0.0, ema_epochs=0.0,
    )  # fmt: skip
    pixels, labels = draw(options.images, seed=0)
    training = Split(pixels, labels, np.arange(len(labels)))
    pipelines = {
        "edgefer": _edgefer(keras, settings, training),
        "generator": _generator(keras, settings, training),
        "tf.data": _tf_data(keras, settings, training),
    }
    speeds: dict[str, list[float]] = {name: [] for name in pipelines}
    for number in range(options.rounds + 1):
        for name, run in pipelines.items():
            started = time.perf_counter()
            run(number)
            speed = options.images / (time.perf_counter() - started)
            if number:  # the first round compiles
                speeds[name].append(round(speed, 1))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {
        "backend": keras.backend.backend(),
        "precision": options.precision,
        "system": system,
        "images_per_s": speeds,
        "ratio_to_generator": round(medians["edgefer"] / medians["generator"], 3),
        "ratio_to_tf_data": round(medians["edgefer"] / medians["tf.data"], 3),
        "input_share": round(_input_seconds(settings, training) * medians["edgefer"] / options.images, 4),
    }


def _edgefer(keras: Any, settings: TrainSettings, training: Split) -> Callable[[int], object]:
    steps = len(training) // settings.batch_size
    trainer = Trainer(keras, settings, steps_per_epoch=steps, classes=CLASSES)

    def run(number: int) -> None:
        batches = make_epoch(training, settings, epoch=number)
        trainer.run_epoch(batches, epoch=number, learning_rate=RATE, progress=lambda *_: None)

    return run


def _input_seconds(settings: TrainSettings, training: Split) -> float:
    """Return the seconds in which the batches of an epoch are assembled, which is what precedes a step."""
    started = time.perf_counter()
    for _ in make_epoch(training, settings, epoch=1):
        pass
    return time.perf_counter() - started


def _generator(keras: Any, settings: TrainSettings, training: Split) -> Callable[[int], object]:
    import tensorflow as tf

    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rescale=1 / 255, horizontal_flip=True, rotation_range=AUGMENT.rotation_degrees, width_shift_range=AUGMENT.shift,
        height_shift_range=AUGMENT.shift, zoom_range=AUGMENT.zoom, fill_mode="constant",
    )  # fmt: skip
    model = _model(keras, settings)
    targets = np.eye(CLASSES, dtype=np.float32)[training.labels]
    pixels = training.pixels[..., None].astype(np.float32)
    flow = generator.flow(pixels, targets, batch_size=settings.batch_size, seed=0)
    return lambda number: model.fit(flow, epochs=1, verbose=0)


def _tf_data(keras: Any, settings: TrainSettings, training: Split) -> Callable[[int], object]:
    import tensorflow as tf

    layers = keras.layers
    augmentation = [
        layers.Rescaling(1 / 255),
        layers.RandomFlip("horizontal", seed=0),
        layers.RandomRotation(AUGMENT.rotation_degrees / 360, fill_mode="constant", seed=0),
        layers.RandomTranslation(AUGMENT.shift, AUGMENT.shift, fill_mode="constant", seed=0),
        layers.RandomZoom(AUGMENT.zoom, fill_mode="constant", seed=0),
    ]

    def augment(images: Any, labels: Any) -> tuple[Any, Any]:
        for layer in augmentation:
            images = layer(images, training=True)
        return images, labels

    model = _model(keras, settings)
    targets = np.eye(CLASSES, dtype=np.float32)[training.labels]
    dataset = tf.data.Dataset.from_tensor_slices((training.pixels[..., None], targets))
    dataset = dataset.shuffle(len(targets), seed=0).batch(settings.batch_size, drop_remainder=True)
    dataset = dataset.map(augment, tf.data.AUTOTUNE)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    return lambda number: model.fit(dataset, shuffle=False, epochs=1, verbose=0)


def _model(keras: Any, settings: TrainSettings) -> Any:
    """Build and compile the network of the settings, without the augmentation layer, as edgefer compiles it."""
    trainer = Trainer(keras, settings, steps_per_epoch=1, classes=CLASSES)
    trainer.net.compile(
        optimizer=keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    return trainer.net


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--systems", nargs="+", default=SYSTEMS)
    parser.add_argument("--images", type=int, default=2048, help="images of an epoch")
    parser.add_argument("--rounds", type=int, default=5, help="measured epochs of each pipeline")
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
