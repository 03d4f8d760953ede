"""SavedModel folders of TensorFlow, which hold a graph."""

from __future__ import annotations

from pathlib import Path

from edgefer.errors import DataError, IncompatibleError
from edgefer.workstation.importing.network import SourceNetwork, check_input
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


def matches(path: Path) -> bool:
    """Return True for a folder with saved_model.pb."""
    return path.is_dir() and (path / FILE).is_file()


def find_code(path: Path) -> list[str]:
    """Return the operators of the graph that run code or use files."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel()
    try:
        content.ParseFromString((path / FILE).read_bytes())
    except Exception as error:
        raise DataError(f"cannot read {path / FILE}", why=str(error) or "damaged", hint=HINT) from error
    names = set()
    for graph in content.meta_graphs:
        names |= {node.op for node in graph.graph_def.node}
        names |= {node.op for function in graph.graph_def.library.function for node in function.node_def}
    return [f"the operator {name}" for name in CODE_OPERATORS if name in names]


def read(path: Path, *, trust: bool) -> SourceNetwork:
    """Trace the default signature with batch 1 and convert it."""
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
    if (len(inputs), len(outputs)) != (1, 1):
        what = f"{path} has {len(inputs)} inputs and {len(outputs)} outputs"
        raise IncompatibleError(what, why="expected one image and one row of scores", hint=HINT)
    ((input_name, spec),) = inputs.items()
    (output_name,) = outputs
    shape = spec.shape.as_list() if spec.shape.rank is not None else []
    check_input(path.name, shape, hint=HINT)
    if spec.dtype != tf.float32:
        raise IncompatibleError(f"{path} has an input of type {spec.dtype.name}", why="expected float32", hint=HINT)
    function = tf.function(lambda image: signature(**{input_name: image})[output_name])
    concrete = function.get_concrete_function(tf.TensorSpec([1, *shape[1:]], tf.float32, name="face"))
    return SourceNetwork(convert_function(concrete, loaded))
