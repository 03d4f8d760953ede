"""Define the artifact: a .tflite that carries its contract in a ZIP archive, so that ``unzip -l model.tflite`` works.

    artifact = Artifact.load(Path("small-int8.tflite"))
    artifact.labels, artifact.input_spec, artifact.scheme
    artifact.golden.check(outputs)                  # raises an error if this machine computes other outputs

TensorFlow Lite reads a flatbuffer from its start and ignores the bytes after it; a ZIP is read from its end. One file
is therefore both, and every runtime that loads the plain model loads this one. The ZIP contains ``labels.txt``,
``edgefer.json`` and ``golden.npz``: synthetic inputs with the outputs of the default and of the reference kernels on
the workstation. The contract includes the temperature. probabilities() is the only function that converts logits to
probabilities.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.archive import pack_arrays, read_arrays, read_entries, write_entries
from edgefer.contract.fields import Fields
from edgefer.contract.preprocessing import InputSpec
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.statistics import softmax

__all__ = ["Artifact", "Golden", "has_contract"]

# Version 2 adds inputs in color or with mean and std, and outputs that are probabilities. Other models keep version 1.
CONTRACT_VERSION = 2
# Files without a contract do not contain this name.
FACTS = "edgefer.json"
HINT = "copy the file again, or quantize the run again"

# Limits of a contract; docs/file-formats.md lists them.
MAX_FILE_BYTES = 2**28
ENTRY_LIMITS = {"labels.txt": 2**16, FACTS: 2**20, "golden.npz": 2**22}
MAX_ARRAY_BYTES = 2**24
MAX_LABELS, MAX_LABEL_LENGTH, MAX_SCHEME_LENGTH = 1000, 100, 100
OUTPUTS = ("logits", "probabilities")
# Fitted temperatures are near 1. More extreme values are damage, though float32 could still divide by them.
MAX_TEMPERATURE = 1000.0
# Fields of the provenance that other modules read, with their types.
PROVENANCE_TYPES: Mapping[str, tuple[type, ...]] = {
    "system": (str,), "edgefer": (str,), "converter": (str,), "epochs": (int,), "scores": (dict,), "settings": (dict,),
    "recipe": (dict,), "qat": (dict,), "parent": (dict,), "teachers": (list,), "data": (dict, str),
    "calibration": (dict, str),
}  # fmt: skip
TYPE_NAMES: Mapping[type, str] = {str: "text", int: "an integer", dict: "an object", list: "a list"}


@dataclass(frozen=True)
class Golden:
    """Inputs with known outputs.

    Integer kernels differ in the last step: the reference kernels round a product twice, XNNPACK once. A runtime may
    follow either, so there are two records, and a difference is to the nearer one.

    Attributes:
        inputs: uint8 (n, height, width) in gray or (n, height, width, 3) in color, preprocessed faces.
        outputs: (n, classes), raw outputs of the default kernels on the workstation: quantization steps or logits.
        reference: raw outputs of the reference kernels, with the shape and dtype of ``outputs``.
        tolerance: largest difference of another runtime, in the unit of ``outputs``. It follows from the difference
            between the two kinds of kernels, measured when the model was made.
    """

    inputs: npt.NDArray[np.uint8]
    outputs: npt.NDArray[Any]
    reference: npt.NDArray[Any]
    tolerance: float

    @property
    def unit(self) -> str:
        """Unit of a difference: "steps" for integer outputs, "logits" for floats."""
        return "steps" if np.issubdtype(self.outputs.dtype, np.integer) else "logits"

    def difference(self, outputs: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the absolute difference (n, classes) between ``outputs`` (n, classes) and the nearer record."""
        here = outputs.astype(np.float64)
        return np.minimum(*(np.abs(here - record.astype(np.float64)) for record in (self.outputs, self.reference)))

    def check(self, outputs: npt.NDArray[Any]) -> float:
        """Compare ``outputs`` (n, classes) of this machine with the records and return the largest difference.

        Raises:
            IncompatibleError: a difference exceeds the tolerance; the message has its size and place.
        """
        difference = self.difference(outputs)
        largest = float(difference.max())
        # The negated comparison also fails for NaN.
        if not largest <= self.tolerance:
            row, column = np.unravel_index(int(np.argmax(np.nan_to_num(difference, nan=np.inf))), difference.shape)
            beyond = int((~(difference <= self.tolerance)).any(axis=1).sum())
            raise IncompatibleError(
                f"golden vector {row} differs by {largest:g} {self.unit} in class {column}",
                why=f"the tolerance is {self.tolerance:g}, and {beyond} of {len(difference)} vectors exceed it",
                hint="another --runtime, or quantize the run again with the runtime of this device",
            )
        return largest


@dataclass(frozen=True)
class Artifact:
    """A model with everything that a board needs to run it.

    Attributes:
        model: the flatbuffer, without the contract.
        labels: class names in the order of the outputs.
        input_spec: input of the model and its preprocessing.
        scheme: name of the quantization scheme.
        golden: inputs with known outputs.
        provenance: JSON-compatible values on the origin: system, epochs, data, calibration, scores, versions.
        output: "logits", or "probabilities" if the model ends in a softmax or sigmoid.
        temperature: divisor of the logits before the softmax, fitted so that confidence equals accuracy on average (Guo
            et al., "On calibration of modern neural networks", ICML 2017). It is 1 for files of older versions.
    """

    model: bytes
    labels: tuple[str, ...]
    input_spec: InputSpec
    scheme: str
    golden: Golden
    provenance: dict[str, Any]
    temperature: float = 1.0
    output: str = "logits"

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the flatbuffer, in hex, which identifies the model in result records."""
        return hashlib.sha256(self.model).hexdigest()

    @classmethod
    def bare(
        cls,
        model: bytes,
        labels: tuple[str, ...],
        input_spec: InputSpec,
        *,
        scheme: str = "",
        output: str = "logits",
    ) -> Artifact:
        """Wrap a flatbuffer without golden vectors or provenance."""
        no_outputs = np.empty((0, len(labels)), np.float32)
        golden = Golden(np.empty((0, *input_spec.shape), np.uint8), no_outputs, no_outputs, 0.0)
        return cls(model, labels, input_spec, scheme, golden, {}, output=output)

    def probabilities(self, logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any]:
        """Convert logits (..., classes) to calibrated probabilities of the same shape and dtype."""
        return softmax(logits, temperature=self.temperature)

    def to_bytes(self) -> bytes:
        """Return the flatbuffer and the ZIP in one file; equal artifacts give equal bytes."""
        golden = self.golden
        is_plain = self.input_spec.is_plain and self.output == OUTPUTS[0]
        facts = {
            "contract_version": 1 if is_plain else CONTRACT_VERSION,
            "model_bytes": len(self.model),
            "model_sha256": self.sha256,
            "scheme": self.scheme,
            "input": self.input_spec.to_json(),
            "golden_tolerance": golden.tolerance,
            "temperature": self.temperature,
            "provenance": self.provenance,
            **({} if self.output == OUTPUTS[0] else {"output": self.output}),
        }
        entries = {
            "labels.txt": ("\n".join(self.labels) + "\n").encode(),
            FACTS: (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode(),
            "golden.npz": pack_arrays(inputs=golden.inputs, outputs=golden.outputs, reference=golden.reference),
        }
        return write_entries(self.model, entries)

    @classmethod
    def from_bytes(cls, content: bytes) -> Artifact:
        """Read a file that to_bytes() has written.

        Raises:
            DataError: there is no contract, it is damaged or exceeds a limit, or it belongs to another model.
            IncompatibleError: the contract has a newer version than this edgefer supports.
        """
        if FACTS.encode() not in content:
            why = "edgefer appends labels, input and golden vectors to its models; another program wrote this file"
            raise DataError("the model has no contract", why=why, hint="edgefer import MODEL --data PATH")
        entries = read_entries(content, ENTRY_LIMITS)
        facts = Fields.parse(entries[FACTS], entry=FACTS)
        _check_version(facts)
        model = content[: facts.integer("model_bytes", 1, len(content))]
        labels = _read_labels(entries["labels.txt"])
        input_spec = InputSpec.from_fields(facts.object("input"))
        artifact = cls(
            model=model,
            labels=labels,
            input_spec=input_spec,
            scheme=facts.text("scheme", MAX_SCHEME_LENGTH),
            golden=_read_golden(entries["golden.npz"], facts, len(labels), input_spec),
            provenance=_read_provenance(facts),
            temperature=facts.number("temperature", 1 / MAX_TEMPERATURE, MAX_TEMPERATURE, default=1.0),
            output=facts.choice("output", OUTPUTS, default=OUTPUTS[0]),
        )
        expected = facts.text("model_sha256", 64)
        if artifact.sha256 != expected:
            raise DataError(
                "the model is damaged",
                why=f"its contract belongs to sha256 {expected[:12]}, the flatbuffer has {artifact.sha256[:12]}",
                hint=HINT,
            )
        return artifact

    def save(self, path: Path) -> None:
        """Write to_bytes() to ``path`` in one step."""
        files.write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Artifact:
        """Read a file that save() has written; error messages contain its name.

        Raises:
            DataError: the file cannot be read or is too large, there is no contract, it is damaged or exceeds a limit,
                or it belongs to another model.
            IncompatibleError: the contract has a newer version than this edgefer supports.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            why = error.strerror or str(error)
            raise DataError(f"cannot read {path}", why=why, hint="edgefer quantize --int8 RUN") from error
        try:
            if len(content) > MAX_FILE_BYTES:
                why = f"it has more than {MAX_FILE_BYTES // 2**20} MiB"
                raise DataError("the file is too large for a model", why=why, hint="edgefer quantize --int8 RUN")
            return cls.from_bytes(content)
        except EdgeferError as error:
            raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint) from error


def has_contract(path: Path) -> bool:
    """Return True if a file contains a contract, which may be damaged; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return FACTS.encode() in file.read(MAX_FILE_BYTES)
    except OSError:
        return False


def _check_version(facts: Fields) -> None:
    version = facts.integer("contract_version", 1, 2**31)
    if version > CONTRACT_VERSION:
        raise IncompatibleError(
            f"the model's contract has version {version}",
            why=f"this edgefer supports versions up to {CONTRACT_VERSION}",
            hint="pip install --upgrade edgefer",
        )


def _read_labels(content: bytes) -> tuple[str, ...]:
    try:
        labels = tuple(content.decode().splitlines())
    except UnicodeDecodeError as error:
        raise DataError("labels.txt is damaged", why=f"not UTF-8: {error}", hint=HINT) from error
    if not 1 <= len(labels) <= MAX_LABELS or len(set(labels)) < len(labels):
        why = f"it has {len(labels):,} lines, expected 1 to {MAX_LABELS:,} different labels"
        raise DataError("labels.txt is invalid", why=why, hint=HINT)
    for number, label in enumerate(labels, 1):
        if not label.strip() or len(label) > MAX_LABEL_LENGTH or not label.isprintable():
            why = f"line {number} is not printable text of 1 to {MAX_LABEL_LENGTH} characters"
            raise DataError("labels.txt is invalid", why=why, hint=HINT)
    return labels


def _read_golden(content: bytes, facts: Fields, classes: int, spec: InputSpec) -> Golden:
    names = ("inputs", "outputs", "reference")
    vectors = read_arrays(content, names, entry="golden.npz", max_bytes=MAX_ARRAY_BYTES)
    inputs, outputs, reference = (vectors[name] for name in names)
    expected = {
        "inputs": (inputs, (max(1, len(outputs) if outputs.ndim else 1), *spec.shape), np.dtype(np.uint8)),
        "outputs": (outputs, (max(1, len(inputs) if inputs.ndim else 1), classes), outputs.dtype),
        "reference": (reference, outputs.shape, outputs.dtype),
    }
    for name, (array, shape, dtype) in expected.items():
        if (array.shape, array.dtype) != (shape, dtype):
            why = f"{name} is {array.dtype} {array.shape}, expected {dtype} {shape}"
            raise DataError("golden.npz is invalid", why=why, hint=HINT)
    if not (np.isfinite(outputs).all() and np.isfinite(reference).all()):
        raise DataError("golden.npz is invalid", why="an output is infinite or not a number", hint=HINT)
    return Golden(inputs, outputs, reference, facts.number("golden_tolerance", 0, np.finfo(np.float64).max))


def _read_provenance(facts: Fields) -> dict[str, Any]:
    provenance = facts.object("provenance")
    for name, types in PROVENANCE_TYPES.items():
        value = provenance.values.get(name)
        if value is not None and not isinstance(value, types):
            raise provenance.error(name, " or ".join(TYPE_NAMES[type_] for type_ in types))
    return dict(provenance.values)
