"""A quantized model against its float parent, and the table of quantization costs.

    quantization = Quantization.from_json(record)           # a record of ``edgefer quantize``
    quantization.verdict.difference_points, quantization.command("RUN")
    costs_table([quantization], least_agreements={})

Each row of the table compares a model with its own float parent, image by image, so one table can span several
networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from edgefer.report.commands import check_provenance, quantize_command
from edgefer.report.tables import Table
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement
from edgefer.results.paired_comparison import PairedComparison

__all__ = ["Quantization", "costs_table"]

KIND = "quantization"
SCHEMA_VERSION = 1
LAYER_NUMBERS = (
    "activation_snr_db", "activation_cosine", "activation_saturation", "weight_snr_db", "float_gain_db",
)  # fmt: skip
HEADERS = ("model", "scheme", "KiB", "points (95 %)", "same\nlabel", "kernels\nagree", "p50 us")
LEGEND = (
    "points: accuracy on {split} minus that of the float parent; same label: share of the {n} images, in %, that both "
    "models label alike; kernels agree: the lowest top-1 agreement, in %, between XNNPACK, built-in and reference "
    "kernels of all runtimes."
)


@dataclass(frozen=True, eq=False)
class Quantization:
    """A quantized model against its float parent.

    Attributes:
        file: Name of the .tflite.
        scheme: Quantization scheme.
        sha256: SHA-256 of the flatbuffer.
        model_bytes: Size of the flatbuffer.
        weight_bytes: Size of its weights.
        file_bytes: Size of the file, including the contract.
        provenance: Origin of the model, from its contract.
        verdict: Comparison with the float parent, image by image.
        parent, evaluation: Evaluations of the float parent and of the quantized model on the same images.
        measurement: A one-second benchmark on the machine that quantized the model.
        gates_broken: Accuracy thresholds that the model misses, one clause each.
        layers: Results of --debug-layers, one mapping per operator.
        culprits: Names of the sensitive layers.
        temperature: Divisor of the logits; None in records that predate temperature scaling.
        calibrated_ece: Expected calibration error with the temperature, in 0..1; None in the same records.
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
        """Name of the network's system."""
        return str(self.provenance.get("system", "?"))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Quantization:
        """Read a record of kind "quantization".

        Raises:
            DataError: The record has another kind, lacks a field, or holds an invalid value.
            IncompatibleError: The schema version is newer than this edgefer supports.
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
        """Return the command line that quantizes the run folder ``run`` with the options in the contract."""
        return quantize_command(self.scheme, self.provenance, run)

    def costs_to_json(self) -> dict[str, Any]:
        """Return the cost of quantization as plain values, for ``edgefer report --json``."""
        verdict = self.verdict
        return {
            "system": self.system,
            "scheme": self.scheme,
            "sha256": self.sha256,
            "file_bytes": self.file_bytes,
            "weight_bytes": self.weight_bytes,
            "split": self.evaluation.split,
            "n": verdict.n,
            "difference_points": verdict.difference_points,
            "interval_points": list(verdict.interval_points),
            "p_value": verdict.p_value,
            "agreement": verdict.agreement,
            "parent_ece": verdict.parent_ece,
            "own_ece": verdict.own_ece,
            "p50_us": self.measurement.p50_us,
        }


def costs_table(quantizations: Sequence[Quantization], least_agreements: Mapping[str, float]) -> Table:
    """Tabulate quantization costs, one row per model.

    Args:
        quantizations: At least one record.
        least_agreements: Lowest top-1 agreement between kernels, in 0..1, by SHA-256 of the flatbuffer.
    """
    rows = [_cost_row(quantization, least_agreements.get(quantization.sha256)) for quantization in quantizations]
    splits = " or ".join(dict.fromkeys(quantization.evaluation.split for quantization in quantizations))
    counts = " or ".join(dict.fromkeys(f"{quantization.verdict.n:,}" for quantization in quantizations))
    legend = LEGEND.format(split=splits, n=counts)
    headers = tuple(header.replace("\n", " ") for header in HEADERS)
    return Table(headers, rows, legend, narrow=Table(HEADERS, rows, legend))


def _cost_row(quantization: Quantization, least_agreement: float | None) -> list[str | None]:
    verdict = quantization.verdict
    low, high = verdict.interval_points
    return [
        quantization.system,
        quantization.scheme,
        f"{quantization.file_bytes / 1024:,.0f}",
        f"{verdict.difference_points:+.2f} ({low:+.1f} to {high:+.1f})",
        f"{100 * verdict.agreement:.2f}",
        None if least_agreement is None else f"{100 * least_agreement:.2f}",
        f"{quantization.measurement.p50_us:,.0f}",
    ]
