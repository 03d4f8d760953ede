"""SavedModel folders of TensorFlow, which hold a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgefer.errors import DataError, IncompatibleError
from edgefer.processes import suppress_native_output
from edgefer.workstation.importing.network import SourceNetwork, check_ends, check_input
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.converter import convert_function

__all__ = ["DESCRIPTION", "find_code", "matches", "read"]

DESCRIPTION = "a SavedModel folder"
FILE = "saved_model.pb"
SIGNATURE = "serving_default"
HINT = "model.export('my_model')"
# Operators that run Python code or use files and the network.
CODE_OPERATORS = (
    "PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles", "LoadLibrary", "RpcClient",
)  # fmt: skip
# Operators of layers with weights.
WEIGHTED = ("Conv2D", "DepthwiseConv2dNative", "MatMul")


def matches(path: Path) -> bool:
    """Return True for a folder with saved_model.pb."""
    return path.is_dir() and (path / FILE).is_file()


def find_code(path: Path) -> list[str]:
    """Return the operators of the graph that run code or use files."""
    with suppress_native_output():
        from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel()
    try:
        content.ParseFromString((path / FILE).read_bytes())
    except Exception as error:
        raise DataError(f"cannot read {path / FILE}", why=str(error) or "damaged", hint=HINT) from error
    names: set[str] = set().union(*(_operators(graph.graph_def) for graph in content.meta_graphs))
    return [f"the operator {name}" for name in CODE_OPERATORS if name in names]


def read(path: Path, *, trust: bool) -> SourceNetwork:
    """Trace the default signature with batch 1 and convert it."""
    load_keras(backend="tensorflow")
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise DataError(f"TensorFlow cannot load {path}", why=" ".join(str(error).split())[:200], hint=HINT) from error
    signature = loaded.signatures.get(SIGNATURE)
    if signature is None:
        why = f"it has {', '.join(loaded.signatures) or 'none'}"
        raise IncompatibleError(f"{path} has no signature {SIGNATURE}", why=why, hint=HINT)
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    check_ends(path.name, len(inputs), len(outputs), hint=HINT)
    ((input_name, spec),) = inputs.items()
    (output_name,) = outputs
    shape = spec.shape.as_list() if spec.shape.rank is not None else []
    check_input(path.name, shape, hint=HINT)
    if spec.dtype != tf.float32:
        raise IncompatibleError(f"{path} has an input of type {spec.dtype.name}", why="expected float32", hint=HINT)
    graph = signature.graph.as_graph_def()
    random = sorted(name for name in _operators(graph) if "Random" in name)
    if random:
        # Keras exports augmentation layers as they work during training.
        raise IncompatibleError(
            f"{path} gives random outputs",
            why=f"its graph contains {', '.join(random[:3])}, as from layers for augmentation, such as RandomFlip",
            hint="model.save('my_model.keras'), and edgefer import my_model.keras",
        )
    dtypes = {tf.as_dtype(node.attr["T"].type).name for node in _nodes(graph) if node.op in WEIGHTED} - {"float32"}
    if dtypes:
        raise IncompatibleError(
            f"{path} has layers in {', '.join(sorted(dtypes))}",
            why="TensorFlow Lite computes in float32, and the dtype of a graph cannot be changed",
            hint="model.save('my_model.keras'), and edgefer import my_model.keras",
        )
    function = tf.function(lambda image: signature(**{input_name: image})[output_name])
    concrete = function.get_concrete_function(tf.TensorSpec([1, *shape[1:]], tf.float32, name="face"))
    return SourceNetwork(convert_function(concrete, loaded))


def _operators(graph: Any) -> set[str]:
    """Return the operators of a GraphDef and of its functions."""
    return {node.op for node in _nodes(graph)}


def _nodes(graph: Any) -> list[Any]:
    """Return the nodes of a GraphDef and of its functions."""
    return [*graph.node, *(node for body in graph.library.function for node in body.node_def)]
