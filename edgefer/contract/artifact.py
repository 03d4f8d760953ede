"""A model file that carries its contract: a .tflite with a ZIP behind it, so that ``unzip -l model.tflite`` works.

    artifact = Artifact.load(Path("small-int8.tflite"))
    artifact.labels, artifact.input_spec, artifact.scheme
    artifact.golden.check(outputs)                  # raises when this machine computes something else

TensorFlow Lite reads a flatbuffer from its beginning and ignores what follows; a ZIP is read from its end. So one file
is both, and every runtime that takes the plain model takes this one. The ZIP holds ``labels.txt``, ``edgefer.json`` and
``golden.npz``: a few drawn inputs with the outputs that the workstation got for them, by its default and by the
reference kernels. How sure the model is of an answer is part of the contract too: probabilities() is the only place
where logits become probabilities.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.preprocessing import InputSpec
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.statistics import softmax

__all__ = ["Artifact", "Golden"]

CONTRACT_VERSION = 1
# ZIP entries carry a date; a fixed one keeps the same model the same bytes.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
# Fitted ones are near 1. What is as far off as this is damage, and float32 can still divide by it.
EXTREME_TEMPERATURE = 1000.0
# What zipfile, json and numpy raise where a contract holds something else than it should; found by damaging models.
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError, LookupError, ValueError,
    TypeError, AttributeError, EOFError, OSError, ArithmeticError, RuntimeError,
)  # fmt: skip


@dataclass(frozen=True)
class Golden:
    """Inputs whose outputs are known.

    There are two records, because integer kernels are not equal to the last step everywhere: the reference kernels
    round a product twice, XNNPACK's once. A runtime may follow either, so it is measured against the nearer.

    Attributes:
        inputs: uint8 (n, height, width), prepared faces.
        outputs: (n, classes), the raw output tensor on the workstation: integer steps, or float logits.
        reference: the same from the reference kernels; shape and dtype of ``outputs``.
        tolerance: how far another runtime may be off, in the unit of ``outputs``. It follows from the spread between
            the two kinds of kernels that was measured when the model was made.
    """

    inputs: npt.NDArray[np.uint8]
    outputs: npt.NDArray[Any]
    reference: npt.NDArray[Any]
    tolerance: float

    @property
    def unit(self) -> str:
        """What a difference of one is: "steps" of an integer output, or "logits"."""
        return "steps" if np.issubdtype(self.outputs.dtype, np.integer) else "logits"

    def difference(self, outputs: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """How far each of the ``outputs`` (n, classes) of this machine is from the nearer record, without sign."""
        own = outputs.astype(np.float64)
        return np.minimum(*(np.abs(own - record.astype(np.float64)) for record in (self.outputs, self.reference)))

    def check(self, outputs: npt.NDArray[Any]) -> float:
        """Compare ``outputs`` (n, classes) of this machine with the records; return the largest difference.

        Raises:
            IncompatibleError: some output is further off than the tolerance; the message says how far and where.
        """
        difference = self.difference(outputs)
        worst = float(difference.max())
        # A NaN is never within a tolerance, so ask for "within" and not for "beyond".
        if not worst <= self.tolerance:
            row, column = np.unravel_index(int(np.argmax(np.nan_to_num(difference, nan=np.inf))), difference.shape)
            beyond = int((~(difference <= self.tolerance)).any(axis=1).sum())
            raise IncompatibleError(
                f"the model computes something else here: {worst:g} {self.unit} off "
                f"in golden vector {row}, class {column}",
                why=f"{self.tolerance:g} are within what its kernels differ by; "
                f"{beyond} of {len(difference)} vectors are beyond it",
                hint="another runtime (--runtime), or quantize the run again with the runtime of this device",
            )
        return worst


@dataclass(frozen=True)
class Artifact:
    """A model with all that a board must know to run it.

    Attributes:
        model: the flatbuffer, without the contract.
        labels: class names in the order of the outputs.
        input_spec: how a picture becomes an input.
        scheme: how it was quantized, a name from the catalogue of schemes.
        golden: inputs with known outputs.
        provenance: plain values on where it came from: system, epochs, data, calibration, scores, versions.
        temperature: what logits are divided by before they become probabilities, so that the model is about as often
            right as it is sure (Guo et al., "On calibration of modern neural networks", ICML 2017). Files that were
            written before there was one have 1, which changes nothing.
    """

    model: bytes
    labels: tuple[str, ...]
    input_spec: InputSpec
    scheme: str
    golden: Golden
    provenance: dict[str, Any]
    temperature: float = 1.0

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the flatbuffer, in hex, which identifies the model in result records."""
        return hashlib.sha256(self.model).hexdigest()

    def probabilities(self, logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any]:
        """Logits (..., classes) -> calibrated probabilities, in the dtype of ``logits``; the best label stays."""
        return softmax(logits, temperature=self.temperature)

    def to_bytes(self) -> bytes:
        """Flatbuffer and ZIP in one; equal artifacts give equal bytes."""
        golden = self.golden
        facts = {
            "contract_version": CONTRACT_VERSION,
            "model_bytes": len(self.model),
            "model_sha256": self.sha256,
            "scheme": self.scheme,
            "input": self.input_spec.to_json(),
            "golden_tolerance": golden.tolerance,
            "temperature": self.temperature,
            "provenance": self.provenance,
        }
        buffer = io.BytesIO(self.model)
        # Appending keeps the offsets right for readers that count from the start of the file, as unzip does.
        with zipfile.ZipFile(buffer, "a") as archive:
            for name, content in (
                ("labels.txt", "\n".join(self.labels) + "\n"),
                ("edgefer.json", json.dumps(facts, indent=1, sort_keys=True) + "\n"),
                ("golden.npz", _pack(inputs=golden.inputs, outputs=golden.outputs, reference=golden.reference)),
            ):
                # np.savez has packed its content already, and a second deflate would only cost time.
                method = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
                archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), content, compress_type=method)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Artifact:
        """The inverse of to_bytes().

        Raises:
            DataError: there is no contract, it is damaged, or it does not belong to the model in front of it.
            IncompatibleError: the contract is of a later version than this edgefer reads.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                # Python's json reads and writes NaN, which is not JSON; a score that was none stays none.
                facts = json.loads(archive.read("edgefer.json"), parse_constant=lambda name: None)
                _refuse_later(facts)
                labels = tuple(archive.read("labels.txt").decode().splitlines())
                with np.load(io.BytesIO(archive.read("golden.npz")), allow_pickle=False) as golden:
                    vectors = {name: golden[name] for name in ("inputs", "outputs", "reference")}
            artifact = cls(
                model=content[: facts["model_bytes"]],
                labels=labels,
                input_spec=InputSpec.from_json(facts["input"]),
                scheme=facts["scheme"],
                golden=Golden(**vectors, tolerance=float(facts["golden_tolerance"])),
                provenance=facts["provenance"],
                temperature=float(facts.get("temperature", 1.0)),
            )
            artifact._check()
        except UNREADABLE as error:
            raise DataError(
                "the model carries no contract that can be read",
                why="labels, input and golden vectors are appended to the file by edgefer; "
                f"this one was made by something else, or is damaged ({type(error).__name__}: {error})",
                hint="edgefer quantize --int8 RUN",
            ) from error
        if artifact.sha256 != facts["model_sha256"]:
            raise DataError(
                "the model is damaged",
                why=f"its contract belongs to sha256 {str(facts['model_sha256'])[:12]}, "
                f"the flatbuffer has {artifact.sha256[:12]}",
                hint="copy the file again, or quantize the run again",
            )
        return artifact

    def save(self, path: Path) -> None:
        """Write to_bytes() to ``path`` in one step."""
        files.write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Artifact:
        """Read what save() wrote.

        Raises:
            DataError: no such file, or as from_bytes(); each message names the file.
            IncompatibleError: as from_bytes().
        """
        try:
            return cls.from_bytes(path.read_bytes())
        except OSError as error:
            raise DataError(
                f"cannot read {path}", why=error.strerror or str(error), hint="edgefer quantize --int8"
            ) from error
        except EdgeferError as error:
            raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint) from error

    def _check(self) -> None:
        """Refuse fields of the wrong type, and golden vectors that cannot be replayed, before a runtime gets them."""
        if not isinstance(self.scheme, str) or not isinstance(self.provenance, dict):
            raise TypeError("scheme and provenance are not text and a dict")
        inputs, outputs, reference = self.golden.inputs, self.golden.outputs, self.golden.reference
        count, size = len(inputs), (self.input_spec.height, self.input_spec.width)
        if inputs.dtype != np.uint8 or inputs.shape != (count, *size) or count == 0:
            raise ValueError(f"golden inputs are {inputs.dtype} {inputs.shape}")
        if outputs.shape != (count, len(self.labels)) or outputs.dtype.kind not in "iuf":
            raise ValueError(f"golden outputs are {outputs.dtype} {outputs.shape} for {len(self.labels)} labels")
        if (reference.shape, reference.dtype) != (outputs.shape, outputs.dtype):
            raise ValueError(f"a golden reference of {reference.dtype} {reference.shape}")
        if not 0 <= self.golden.tolerance < math.inf:
            raise ValueError(f"a golden tolerance of {self.golden.tolerance}")
        if not 1 / EXTREME_TEMPERATURE <= self.temperature <= EXTREME_TEMPERATURE:
            raise ValueError(f"a temperature of {self.temperature}")


def _refuse_later(facts: dict[str, Any]) -> None:
    if facts["contract_version"] > CONTRACT_VERSION:
        raise IncompatibleError(
            f"the model's contract has version {facts['contract_version']}",
            why=f"this edgefer reads versions up to {CONTRACT_VERSION}",
            hint="pip install --upgrade edgefer",
        )


def _pack(**arrays: npt.NDArray[Any]) -> bytes:
    """np.savez_compressed with fixed dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", ZIP_DATE), content.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()
