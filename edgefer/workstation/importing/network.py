"""Convert the network in a file from another program to a float32 flatbuffer, in a subprocess.

    network = read_network(Path("my_model.h5"), folder=private)
    network.flatbuffer                              # float32, batch 1, logits as output if the softmax could be removed
    network.keras                                   # a Keras file with the same outputs, or None

Keras builds layers from names in such a file, and TensorFlow runs its graph. A file that could run code of its author
is therefore refused unless the user trusts it. A subprocess reads the file in any case, so it cannot change this
process.

A new file format is one module in ``formats/`` that implements NetworkFormat.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from edgefer import files, plugins
from edgefer.data.naming import counted
from edgefer.errors import DataError, EdgeferError, IncompatibleError, UsageError
from edgefer.file_kinds import IMPORTED_NETWORK, describe_kind
from edgefer.processes import ChildResult, call_module, serve_request
from edgefer.workstation.quantization.flatbuffer_editor import remove_softmax

__all__ = [
    "FORMATS", "ImportedNetwork", "NetworkFormat", "SourceNetwork", "check_ends", "check_input", "find_format",
    "read_network", "without_probabilities",
]  # fmt: skip

MODULE = "edgefer.workstation.importing.network"
FORMATS = "edgefer.workstation.importing.formats"
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class SourceNetwork:
    """The network in a file.

    Attributes:
        flatbuffer: float32 .tflite with batch 1.
        keras: a Keras model with logits as output, or None if the file holds only a graph.
        notes: sentences for the user.
        removed: "softmax" or "sigmoid" if this activation at the end was removed, otherwise empty.
    """

    flatbuffer: bytes
    keras: Any = None
    notes: tuple[str, ...] = ()
    removed: str = ""


class NetworkFormat(Protocol):
    """Interface of a module in ``formats/``.

    Attributes:
        DESCRIPTION: noun phrase with an article.
    """

    DESCRIPTION: str

    def matches(self, path: Path) -> bool:
        """Return True if the file or folder at ``path`` has this format, without running it."""

    def find_code(self, path: Path) -> list[str]:
        """Return descriptions of the parts of the file that could run code of its author."""

    def read(self, path: Path, *, trust: bool) -> SourceNetwork:
        """Load the file and convert its network.

        Raises:
            DataError: the file is damaged.
            IncompatibleError: the network cannot be converted.
        """


@dataclass(frozen=True)
class ImportedNetwork:
    """Result of read_network().

    Attributes:
        kind: description of the file format.
        flatbuffer: float32 .tflite with batch 1; its output is logits if the network ended in a softmax.
        keras: path of a Keras file with the same outputs, or None.
        notes: sentences for the user.
        removed: "softmax" or "sigmoid" if this activation at the end was removed, otherwise empty.
    """

    kind: str
    flatbuffer: bytes
    keras: Path | None
    notes: tuple[str, ...]
    removed: str = ""


def check_input(name: str, shape: Sequence[int | None], *, hint: str) -> None:
    """Check the shape of the input of a network, with the batch first.

    Raises:
        IncompatibleError: it is not one image of fixed size with one or three channels last.
    """
    shape = tuple(shape)
    problem = f"{name} has an input of shape {shape}"
    if len(shape) != 4 or not all(isinstance(size, int) for size in shape[1:]):
        why = "expected (None, height, width, channels) with fixed numbers"
        channels = 3 if shape[-1:] == (3,) else 1
        raise IncompatibleError(problem, why=why, hint=f"save it with a fixed size: keras.Input((48, 48, {channels}))")
    if shape[3] not in (1, 3):
        order = "the channels seem to come first; " if shape[1] in (1, 3) else ""
        raise IncompatibleError(problem, why=f"{order}expected 1 or 3 channels in the last place", hint=hint)


def check_ends(name: str, inputs: int, outputs: int, *, hint: str) -> None:
    """Check the numbers of inputs and outputs of a network; ``hint`` shows how to select one of several outputs.

    Raises:
        IncompatibleError: it has several of one kind, or none.
    """
    if (inputs, outputs) == (1, 1):
        return
    numbers = f"{counted(inputs, 'input')} and {counted(outputs, 'output')}"
    if inputs != 1:
        hint = "edgefer bench MODEL.tflite measures the latency of a model with several inputs"
    raise IncompatibleError(f"{name} has {numbers}", why="expected one image and one row of scores", hint=hint)


def find_format(path: Path) -> str | None:
    """Return the name of the format of a file or folder, or None."""
    for name in plugins.names(FORMATS):
        if cast("NetworkFormat", plugins.load(FORMATS, name)).matches(path):
            return name
    return None


def read_network(path: Path, *, folder: Path, trust: bool = False) -> ImportedNetwork:
    """Convert the network in a file.

    Args:
        path: file or folder from another program.
        folder: existing private folder for the results; the Keras file in it belongs to the caller.
        trust: load files that could run code.

    Raises:
        UsageError: the file has no known format, or could run code and is not trusted.
        DataError: the file is damaged, or reading it ends the subprocess.
        IncompatibleError: the network cannot be converted.
    """
    name = find_format(path)
    if name is None:
        known = (plugins.read_constant(FORMATS, entry, "DESCRIPTION") for entry in plugins.names(FORMATS))
        why = f"it is {describe_kind(path)}; expected {', '.join(known)}"
        raise UsageError(f"cannot import {path}", why=why, hint="edgefer import MODEL")
    module = cast("NetworkFormat", plugins.load(FORMATS, name))
    code = module.find_code(path)
    if code and not trust:
        raise UsageError(
            f"{path} could run code of its author",
            why=f"it contains {', '.join(code[:3])}{', ...' if len(code) > 3 else ''}",
            hint="--trust, if you know where the file comes from",
        )

    def describe_crash(child: ChildResult) -> EdgeferError:
        why = f"the subprocess ended by {child.signal}" if child.signal else child.last_line or "it gave no answer"
        if child.timed_out:
            why = f"it took more than {TIMEOUT_S:g} s"
        return DataError(f"cannot read {path}", why=why, hint="edgefer import MODEL")

    request = {"path": str(path.absolute()), "format": name, "trust": trust, "folder": str(folder.absolute())}
    reply = call_module(MODULE, request, folder=folder, describe_crash=describe_crash, timeout_s=TIMEOUT_S)
    keras = next((file for file in folder.glob("network.*") if file.suffix in (".keras", ".h5")), None)
    return ImportedNetwork(
        module.DESCRIPTION, (folder / IMPORTED_NETWORK).read_bytes(), keras, tuple(map(str, reply["notes"])),
        str(reply["removed"]),
    )  # fmt: skip


def without_probabilities(source: SourceNetwork) -> SourceNetwork:
    """Return a network without the softmax or sigmoid at its end, and a note about it.

    Its Keras model is dropped if only the flatbuffer can be cut, because both have the same outputs. A softmax or
    sigmoid before one that the format has removed is a part of the network.
    """
    flatbuffer, removed, notes = source.flatbuffer, source.removed, list(source.notes)
    keras = source.keras
    if not removed:
        flatbuffer, removed = remove_softmax(flatbuffer)
        if removed and keras is not None:
            notes.append(
                f"The {removed} is in a nested model or a custom layer, or before the last layer, so only int8 and "
                "float32 convert this network."
            )
            keras = None
    if removed:
        notes.append(f"The {removed} at the end was removed: the model gives logits, which int8 represents better.")
    return SourceNetwork(flatbuffer, keras, tuple(notes), removed)


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    """Convert the network of a request; the results are files in its folder."""
    folder, trust = Path(request["folder"]), bool(request["trust"])
    module = cast("NetworkFormat", plugins.load(FORMATS, request["format"]))
    source = without_probabilities(module.read(Path(request["path"]), trust=trust))
    if source.keras is not None:
        suffix = ".h5" if type(source.keras).__module__.startswith("tf_keras") else ".keras"
        source.keras.save(folder / f"network{suffix}")
    files.write_bytes(folder / IMPORTED_NETWORK, source.flatbuffer)
    return {"notes": list(source.notes), "removed": source.removed}


def main(request_path: str, reply_path: str) -> int:
    """Serve one request of read_network() and return the exit code."""
    return serve_request(request_path, reply_path, _serve)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
