"""Build the int8 model of a trial before its training: random weights, but the graph that its training will have.

    candidate = build_candidate(settings, labels=LABELS)
    candidate.graph                                 # equal for networks of the same structure and shapes
    candidate.artifact                              # content of a .tflite that a board can measure

Cost and size of an int8 model depend on its graph, not on the values of its weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefer import plugins
from edgefer.errors import UsageError
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["Candidate", "build_candidate", "graph_digest"]

SCHEMES, SCHEME = "edgefer.workstation.quantization.schemes", "int8"
CALIBRATION_FACES = 16


@dataclass(frozen=True)
class Candidate:
    """The int8 model of a network with random weights.

    Attributes:
        graph: digest of operators, their options, wiring, shapes and dtypes.
        artifact: content of the .tflite, with a contract.
    """

    graph: str
    artifact: bytes


def build_candidate(settings: TrainSettings, *, labels: Sequence[str]) -> Candidate:
    """Build and quantize an untrained network; this takes seconds and imports TensorFlow.

    Args:
        settings: settings of the training.
        labels: class names.

    Raises:
        UsageError: the architecture cannot be built with these settings.
        EdgeferError: the network cannot be converted.
    """
    from edgefer.contract.artifact import Artifact
    from edgefer.contract.preprocessing import prepare_all
    from edgefer.data.synthetic import golden_faces
    from edgefer.inference.first_load import trust_model
    from edgefer.inference.golden import record_golden_vectors
    from edgefer.workstation.networks.backend import load_keras
    from edgefer.workstation.quantization.float_network import FloatNetwork
    from edgefer.workstation.quantization.options import DEFAULTS
    from edgefer.workstation.training.model import build_network

    keras, spec = load_keras(backend="tensorflow"), settings.input
    network = build_network(keras, settings, classes=len(labels))
    _randomize(network)
    faces = prepare_all(golden_faces(CALIBRATION_FACES), spec)
    # GPTQ takes most of the time of a quantization and changes no shape.
    options = dataclasses.replace(DEFAULTS, rounding="nearest")
    try:
        flatbuffer = plugins.load(SCHEMES, SCHEME).convert(FloatNetwork(network, faces, spec=spec), options)
    except (ValueError, TypeError, RuntimeError) as error:
        why = str(error).strip().partition("\n")[0]
        raise UsageError(f"{settings.architecture} cannot be converted to int8", why=why) from error
    trust_model(flatbuffer)
    provenance = {"system": settings.system, "settings": settings.to_json()}
    bare = Artifact.bare(flatbuffer, tuple(labels), spec, scheme=SCHEME)
    artifact = dataclasses.replace(record_golden_vectors(bare, faces), provenance=provenance)
    keras.utils.clear_session()
    return Candidate(graph_digest(flatbuffer), artifact.to_bytes())


def graph_digest(flatbuffer: bytes) -> str:
    """Return the SHA-256 of the structure of a flatbuffer: everything but names, weights, scales and zero points."""
    from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer

    graph = Flatbuffer(flatbuffer)

    def tensor(index: int) -> Any:
        return None if index < 0 else [index, graph.dtype(index), graph.shape(index), graph.constant(index)]

    ops = [
        [op.kind, [tensor(index) for index in (*op.inputs, *op.outputs)], _plain_options(op.options)]
        for op in graph.ops
    ]
    structure = [graph.inputs, graph.outputs, ops]
    return hashlib.sha256(json.dumps(structure, default=str).encode()).hexdigest()


def _plain_options(options: Any) -> dict[str, Any]:
    return {} if options is None else dict(sorted(vars(options).items()))


def _randomize(network: Any) -> None:
    """Give biases and normalization parameters random values; zeros would be stored only once in the file."""
    generator = np.random.default_rng(0)
    for weight in network.weights:
        if len(weight.shape) == 1:
            is_scale = weight.path.endswith(("gamma", "variance"))
            values = generator.uniform(0.5, 1.5, weight.shape) if is_scale else generator.normal(0, 0.1, weight.shape)
            weight.assign(values.astype(np.float32))
