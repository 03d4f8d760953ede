"""Networks of other programs, built from public descriptions: the inputs of bring_your_own.py and of tests.

    reference = REFERENCES["mini_xception"]
    model = reference.build(keras, width=1.0, size=reference.spec.height, classes=7)
    train(model, faces, labels, spec=reference.spec, epochs=2)
    path = save(model, reference, Path("folder"))   # the file that a user would have

A network sees (pixel - mean) / std of its InputSpec during training, and ends in a softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder

__all__ = ["REFERENCES", "Reference", "save", "train"]

AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
MINUS_ONE_TO_ONE = {"mean": (127.5,), "std": (127.5,)}
BATCH = 32


@dataclass(frozen=True)
class Reference:
    """A network of another program.

    Attributes:
        what: short description.
        build: function of Keras, width factor, size in pixels and number of classes that returns a Keras model.
        spec: input that the network is trained with.
        file: name of the saved file; its suffix is the format, and a name without one is a SavedModel folder.
        legacy: True for Keras 2 (tf_keras).
        labels: class names in the order of the outputs; None for those of the data.
        quantized: True for a .tflite with dynamic-range quantization.
        epochs: epochs of the training.
        faces: faces of each epoch.
        rate: highest learning rate of the training.
    """

    what: str
    build: Callable[..., Any]
    spec: InputSpec
    file: str
    legacy: bool = False
    labels: tuple[str, ...] | None = None
    quantized: bool = False
    epochs: int = 2
    faces: int = 8000
    rate: float = 1e-3


def mini_xception(keras: Any, *, width: float = 1.0, size: int = 64, classes: int = 7) -> Any:
    """Build mini-Xception after Arriaga et al., "Real-time Convolutional Neural Networks for Emotion and Gender
    Classification", 2017: residual modules of separable convolutions, a softmax after global average pooling.
    """  # noqa: D205 - one sentence
    layers = keras.layers
    face = keras.Input((size, size, 1))
    x = face
    for _ in range(2):
        x = layers.Conv2D(_scale(8, width), 3, use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
    for filters in (16, 32, 64, 128):
        channels = _scale(filters, width)
        residual = layers.Conv2D(channels, 1, strides=2, padding="same", use_bias=False)(x)
        residual = layers.BatchNormalization(momentum=0.9)(residual)
        x = layers.SeparableConv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.SeparableConv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.Add()([x, residual])
    x = layers.Conv2D(classes, 3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(face, layers.Activation("softmax", name="predictions")(x))


def sequential(keras: Any, *, width: float = 1.0, size: int = 48, classes: int = 7, rescaling: bool = False) -> Any:
    """Build a Sequential of Conv, BatchNormalization, ReLU and Dropout with two Dense layers, as in many tutorials."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((size, size, 1))])
    if rescaling:
        model.add(layers.Rescaling(1 / 255))
    for filters in (32, 64, 128):
        model.add(layers.Conv2D(_scale(filters, width), 3, padding="same"))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(0.1))
    model.add(layers.Flatten())
    model.add(layers.Dense(_scale(256, width), activation="relu"))
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(classes, activation="softmax"))
    return model


def sequential_rescaling(keras: Any, **options: Any) -> Any:
    """Build sequential() with the division by 255 inside the network."""
    return sequential(keras, rescaling=True, **options)


def elu(keras: Any, *, width: float = 1.0, size: int = 48, classes: int = 7) -> Any:
    """Build a deep stack of Conv, ELU and BatchNormalization in this order, with Dense layers of ELU."""
    layers = keras.layers
    face = keras.Input((size, size, 1))
    x = face
    for filters in (32, 64, 128):
        for _ in range(2):
            x = layers.Conv2D(_scale(filters, width), 3, padding="same", activation="elu")(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Dropout(0.3)(layers.MaxPooling2D()(x))
    x = layers.Dense(_scale(128, width), activation="elu")(layers.Flatten()(x))
    x = layers.BatchNormalization(momentum=0.9)(x)
    return keras.Model(face, layers.Dense(classes, activation="softmax")(x))


def mobilenet_v2(keras: Any, *, width: float = 1.0, size: int = 96, classes: int = 7) -> Any:
    """Build MobileNetV2 of keras.applications as a nested model, with a new head, as in transfer learning."""
    base = keras.applications.MobileNetV2(
        input_shape=(size, size, 3), alpha=0.35 * width, include_top=False, weights=None, pooling="avg"
    )
    for layer in base.layers:
        # The default of 0.999 needs thousands of steps.
        if hasattr(layer, "momentum"):
            layer.momentum = 0.9
    face = keras.Input((size, size, 3))
    x = keras.layers.Dropout(0.2)(base(face))
    return keras.Model(face, keras.layers.Dense(classes, activation="softmax")(x))


def mobilenet_v3(keras: Any, *, width: float = 1.0, size: int = 96, classes: int = 7) -> Any:
    """Build MobileNetV3-small of keras.applications: hard-swish, squeeze-and-excitation, Rescaling inside."""
    model = keras.applications.MobileNetV3Small(
        input_shape=(size, size, 3), alpha=width, weights=None, classes=classes, include_preprocessing=True
    )
    for layer in model.layers:
        if hasattr(layer, "momentum"):
            layer.momentum = 0.9
    return model


def subclassed(keras: Any, *, width: float = 1.0, size: int = 48, classes: int = 7) -> Any:
    """Build a subclass of keras.Model with residual connections, which only a SavedModel can hold."""
    layers = keras.layers

    class Residual(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stem = layers.Conv2D(_scale(32, width), 3, strides=2, padding="same", activation="relu")
            self.convolutions = [layers.Conv2D(_scale(32, width), 3, padding="same") for _ in range(4)]
            self.norms = [layers.BatchNormalization(momentum=0.9) for _ in range(4)]
            self.pool = layers.MaxPooling2D()
            self.average = layers.GlobalAveragePooling2D()
            self.head = layers.Dense(classes, activation="softmax")

        def call(self, face: Any, training: bool = False) -> Any:
            x = self.stem(face)
            for convolution, norm in zip(self.convolutions, self.norms):
                x = self.pool(keras.activations.relu(x + norm(convolution(x), training=training)))
            return self.head(self.average(x))

    model = Residual()
    model(np.zeros((1, size, size, 1), np.float32))
    return model


REFERENCES = {
    "mini_xception": Reference(
        "mini-Xception, separable convolutions, softmax as a layer, .keras",
        mini_xception, InputSpec(64, 64, **MINUS_ONE_TO_ONE), "mini_xception.keras", epochs=3, rate=2e-3,
    ),
    "sequential": Reference(
        "Sequential Conv-BN-ReLU-Dropout-Dense of Keras 2, 1/255 outside, .h5",
        sequential, InputSpec(48, 48), "sequential.h5", legacy=True, epochs=9, faces=14_000,
    ),
    "rescaling": Reference(
        "the same with Rescaling(1/255) inside", sequential_rescaling,
        InputSpec(48, 48, std=(1.0,)), "rescaling.h5", legacy=True, epochs=9, faces=14_000,
    ),
    "elu": Reference(
        "Conv-ELU-BN, BN after the activation, .keras", elu, InputSpec(48, 48), "elu.keras", epochs=4, faces=14_000,
    ),
    "mobilenet_v2": Reference(
        "MobileNetV2 0.35, 96 x 96 x 3, nested, .keras", mobilenet_v2,
        InputSpec(96, 96, channels="rgb", **MINUS_ONE_TO_ONE), "mobilenet_v2.keras", epochs=8, faces=14_000,
    ),
    "mobilenet_v3": Reference(
        "MobileNetV3-small, 96 x 96 x 3, Rescaling inside, .keras", mobilenet_v3,
        InputSpec(96, 96, channels="rgb", mean=(0.0,), std=(1.0,)), "mobilenet_v3.keras", epochs=8, faces=14_000,
        rate=2e-3,
    ),
    "subclassed": Reference(
        "subclass of keras.Model, SavedModel", subclassed, InputSpec(48, 48), "subclassed", epochs=10, faces=14_000,
    ),
    "three_classes": Reference(
        "mini-Xception for three classes, .keras", mini_xception, InputSpec(48, 48), "three_classes.keras",
        labels=("happy", "neutral", "angry"),
    ),
    "eight_classes": Reference(
        "Sequential for the eight classes of FER+, in the order of AffectNet, .h5", sequential, InputSpec(48, 48),
        "eight_classes.h5", legacy=True, labels=AFFECTNET, epochs=4, faces=16_000,
    ),
    "float_tflite": Reference(
        "Conv-ELU-BN, float .tflite without a contract", elu, InputSpec(48, 48), "float.tflite", epochs=4,
        faces=14_000,
    ),
    "quantized_tflite": Reference(
        "mini-Xception, dynamic-range .tflite without a contract", mini_xception,
        InputSpec(64, 64, **MINUS_ONE_TO_ONE), "quantized.tflite", quantized=True, epochs=3, rate=2e-3,
    ),
}  # fmt: skip


def train(
    model: Any,
    faces: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    *,
    spec: InputSpec,
    epochs: int,
    seed: int = 0,
    rate: float = 1e-3,
) -> None:
    """Train a model that ends in a softmax with Adam and a falling rate.

    Args:
        model: Keras model, of Keras 3 or of tf_keras.
        faces: prepared faces, uint8 (n, *spec.shape).
        labels: int64 (n,), indices of the outputs.
        spec: input of the model.
        epochs: passes over the faces.
        seed: random seed of the order of the faces.
        rate: highest learning rate.
    """
    steps = epochs * -(-len(faces) // BATCH)
    keras = _framework(model)
    # Dropout needs a seed, because load_keras() selects deterministic kernels.
    keras.utils.set_random_seed(seed)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    table = encoder(FLOAT32, spec)
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        order = generator.permutation(len(faces))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            model.train_on_batch(_encoded(table, faces[rows]), labels[rows])


def save(model: Any, reference: Reference, folder: Path) -> Path:
    """Write a model as its author would have, and return the path."""
    import tensorflow as tf

    path = folder / reference.file
    if path.suffix in (".keras", ".h5"):
        model.save(path)
    elif path.suffix == ".tflite":
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if reference.quantized:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        path.write_bytes(converter.convert())
    else:
        model.export(path, verbose=False)
    return path


def _framework(model: Any) -> Any:
    """Return the framework of a model: keras or tf_keras."""
    import importlib

    names = (base.__module__.partition(".")[0] for base in type(model).__mro__)
    return importlib.import_module(next(name for name in names if name in ("keras", "tf_keras")))


def _encoded(table: npt.NDArray[Any], faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    values = encode(table, faces)
    return values.reshape(*values.shape[:3], -1)


def _scale(channels: int, width: float) -> int:
    return max(4, round(channels * width))
