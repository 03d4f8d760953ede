"""One record of ``edgefer quantize``, read back: what was made, how it was judged, and how to make it again.

    quantization = Quantization.from_json(record)
    quantization.verdict.difference_points, quantization.command("RUN")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from edgefer.report.commands import check_provenance, quantize_command
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement
from edgefer.results.paired_comparison import PairedComparison

__all__ = ["Quantization"]

KIND = "quantization"
SCHEMA_VERSION = 1
LAYER_NUMBERS = (
    "activation_snr_db", "activation_cosine", "activation_saturation", "weight_snr_db", "float_gain_db",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Quantization:
    """A quantized model against its float parent.

    Attributes:
        file: the name of the .tflite.
        scheme, sha256: what it is.
        model_bytes, weight_bytes, file_bytes: of the flatbuffer, of its weights alone, and with the contract.
        provenance: where it comes from, as its contract says.
        verdict: the comparison image by image.
        parent, evaluation: both models on the same images.
        measurement: a second's bench where it was made.
        gates_broken: bounds that were set and are not kept, a clause each.
        layers: what --debug-layers found, one mapping an operator.
        culprits: the layers that it names.
        temperature: what its logits are divided by; None in records that were written before there was one.
        calibrated_ece: the expected calibration error with it, in 0..1; None there too.
    """

    file: str
    scheme: str
    sha256: str
    model_bytes: int
    weight_bytes: int
    file_bytes: int
    provenance: Mapping[str, Any]
    verdict: PairedComparison
    parent: Evaluation
    evaluation: Evaluation
    measurement: Measurement
    gates_broken: tuple[str, ...] = ()
    layers: tuple[Mapping[str, Any], ...] = ()
    culprits: tuple[str, ...] = ()
    temperature: float | None = None
    calibrated_ece: float | None = None

    @property
    def system(self) -> str:
        """The name of the network's system."""
        return str(self.provenance.get("system", "?"))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Quantization:
        """Read a record of kind "quantization".

        Raises:
            DataError: it is none, or lacks a field.
            IncompatibleError: a later schema version.
        """
        schema.validate(fields, KIND, SCHEMA_VERSION)
        schema.require(
            fields, path=str, scheme=str, sha256=str, model_bytes=int, weight_bytes=int, file_bytes=int,
            provenance=dict, verdict=dict, parent=dict, evaluation=dict, measurement=dict, gates_broken=list,
        )  # fmt: skip
        check_provenance(fields["provenance"])
        for layer in fields.get("layers", ()):
            schema.require(layer, layer=str, kind=str, **dict.fromkeys(LAYER_NUMBERS, (int, float, type(None))))
        confidence = fields.get("confidence")
        if confidence is not None:
            schema.require(confidence, temperature=(int, float), calibrated_ece=(int, float))
        plain = ("scheme", "sha256", "model_bytes", "weight_bytes", "file_bytes", "provenance")
        return cls(
            file=PurePath(fields["path"]).name,
            **{name: fields[name] for name in plain},
            verdict=PairedComparison.from_json(fields["verdict"]),
            parent=Evaluation.from_json(fields["parent"]),
            evaluation=Evaluation.from_json(fields["evaluation"]),
            measurement=Measurement.from_json(fields["measurement"]),
            gates_broken=tuple(map(str, fields["gates_broken"])),
            layers=tuple(fields.get("layers", ())),
            culprits=tuple(map(str, fields.get("culprits", ()))),
            temperature=confidence["temperature"] if confidence else None,
            calibrated_ece=confidence["calibrated_ece"] if confidence else None,
        )

    def command(self, run: str) -> str:
        """The line that makes it from the run folder ``run``, with the choices that its contract tells."""
        return quantize_command(self.scheme, self.provenance, run)
