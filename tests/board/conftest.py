"""Whole artefacts around the two tiny models in data/, made without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from edgefer.artefact import Artefact, Golden
from edgefer.board.anatomy import Anatomy, Op, Subgraph, Tensor, read
from edgefer.board.classifier import Classifier
from edgefer.labels import LABELS
from edgefer.models import SHIPPED
from edgefer.preprocess import InputSpec

DATA = Path(__file__).parent / "data"
# data/README.md has the measured spread between kernels and wheels.
TOLERANCES = {"int8": 4.0, "float32": 2e-4}


def drawn_faces(count: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, 48, 48): random grey blocks of random size, by integer arithmetic: the same everywhere."""
    rng = np.random.default_rng(seed)
    faces = []
    for blocks in rng.integers(2, 25, count):
        greys = rng.integers(0, 256, (blocks, blocks), np.uint8)
        greys.flat[:2] = 0, 255
        position = np.arange(48) * blocks // 48
        faces.append(greys[np.ix_(position, position)])
    return np.stack(faces)


def tiny_artefact(scheme: str) -> Artefact:
    """The tiny model of ``scheme`` with 24 golden vectors, whose outputs data/golden.npz holds."""
    inputs = drawn_faces(24)
    model = (DATA / f"tiny-{scheme}.tflite").read_bytes()
    with np.load(DATA / "golden.npz") as record:
        golden = Golden(inputs, record[scheme], record[f"{scheme}_reference"], TOLERANCES[scheme])
    return Artefact(model, LABELS, InputSpec(), scheme, golden, {"system": "tiny"})


def set_op_version(model: bytes, version: int) -> bytes:
    """``model`` with the version of its first operator set: Model.operator_codes[0].version in its schema."""
    content = bytearray(model)

    def u16(at: int) -> int:
        return struct.unpack_from("<H", content, at)[0]

    def i32(at: int) -> int:
        return struct.unpack_from("<i", content, at)[0]

    def field(table: int, slot: int) -> int:
        offset = u16(table - i32(table) + 4 + 2 * slot)
        assert offset, "the field is absent"
        return table + offset

    codes = field(i32(0), 1)
    vector = codes + i32(codes)
    first = vector + 4 + i32(vector + 4)
    struct.pack_into("<i", content, field(first, 2), version)
    return bytes(content)


@pytest.fixture(scope="session")
def with_op_version() -> Callable[[bytes, int], bytes]:
    """A model's bytes and a version -> the same model, whose first operator claims that version."""
    return set_op_version


@pytest.fixture(scope="session", params=["int8", "float32"])
def artefact(request: pytest.FixtureRequest) -> Artefact:
    return tiny_artefact(request.param)


@pytest.fixture(scope="session")
def int8_artefact() -> Artefact:
    return tiny_artefact("int8")


@pytest.fixture(scope="session")
def model_path(int8_artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-int8.tflite"
    int8_artefact.save(path)
    return path


@pytest.fixture(scope="session")
def int8_classifier(int8_artefact: Artefact) -> Classifier:
    return Classifier.from_artefact(int8_artefact)


@pytest.fixture(scope="session")
def faces() -> np.ndarray:
    return drawn_faces(40, seed=7)


def make_tensor(dtype: str = "int8", shape: tuple[int, ...] = (1, 8), **changes: object) -> Tensor:
    """A tensor of the main graph; per-tensor quantized where it is an integer."""
    scaled = dtype in ("int8", "uint8")
    plain: dict[str, object] = {
        "name": "t", "dtype": dtype, "shape": shape, "dynamic": False, "buffer": 0, "constant": False,
        "variable": False, "scales": int(scaled), "scale": 0.5 if scaled else None, "zero_point": 0 if scaled else None,
    }  # fmt: skip
    return Tensor(**(plain | changes))


def make_op(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], **changes: object) -> Op:
    """A built-in operator of version 1."""
    return Op(**({"name": name, "version": 1, "custom": False, "inputs": inputs, "outputs": outputs} | changes))


def make_graph(tensors: list[Tensor], ops: list[Op], inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Subgraph:
    return Subgraph(tuple(tensors), tuple(ops), inputs, outputs)


@pytest.fixture
def make() -> SimpleNamespace:
    """Tensors, operators and graphs made by hand: make.tensor(), make.op(), make.graph()."""
    return SimpleNamespace(tensor=make_tensor, op=make_op, graph=make_graph)


@pytest.fixture(scope="session")
def litert() -> ModuleType:
    """The LiteRT wheel; skips where it is not installed."""
    return pytest.importorskip("ai_edge_litert.interpreter")


@pytest.fixture(scope="session")
def tiny(litert: ModuleType) -> dict[str, Anatomy]:
    """The tiny models of data/, read, by scheme."""
    return {scheme: read((DATA / f"tiny-{scheme}.tflite").read_bytes()) for scheme in TOLERANCES}


@pytest.fixture(scope="session")
def shipped(litert: ModuleType) -> Anatomy:
    return read(SHIPPED.read_bytes())


def write_film(path: Path, frames: Iterable[np.ndarray], *, fps: float = 30) -> Path:
    """A video of uint8 BGR frames (h, w, 3), nearly as they are: JPEG each, unless it is an .mp4."""
    kind = "mp4v" if path.suffix == ".mp4" else "MJPG"
    writer = None
    for frame in frames:
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*kind), fps, frame.shape[1::-1])
        writer.write(frame)
    assert writer is not None
    writer.release()
    return path


@pytest.fixture(scope="session")
def film() -> Callable[..., Path]:
    """Write a video: film(path, frames, fps=30)."""
    return write_film
