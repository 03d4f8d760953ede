"""Options of a quantization besides its scheme, and the limits of deployment targets.

    options = QuantizationOptions(io="uint8", calibration_method="percentile")
    dataclasses.replace(options, float_layers=("stem_conv",))

    options = for_target(options, "litert")
    require_fit(model, "tflm")                      # raises; the message names each unsupported operator

A scheme lists the fields that it supports in SUPPORTED_OPTIONS; check_options() rejects others before any slow step.
Without a target, a model fits all targets that its scheme allows: operator versions of TensorFlow Lite 2.14, batch 1.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from edgefer.errors import IncompatibleError, UsageError
from edgefer.inference.runtime import select_runtime
from edgefer.inspection.compatibility import check_targets
from edgefer.inspection.flatbuffer import read_model

__all__ = [
    "CALIBRATION_METHODS", "DEFAULTS", "TARGETS", "QuantizationOptions", "check_options", "for_target", "require_fit",
]  # fmt: skip

IO_TYPES = ("int8", "uint8", "float32")
CALIBRATION_METHODS = ("percentile", "min-max", "moving-average")
ROUNDINGS = ("gptq", "nearest")
# JSON names that differ from today's names; contracts and records keep them.
JSON_KEYS = {"calibration_method": "ranges"}
JSON_VALUES = {"gptq": "second-order"}
# The command-line flag that overrides each field.
FLAGS = {
    "io": "--io", "per_channel": "--per-tensor", "dense_per_channel": "--target litert",
    "calibration_method": "--calibration-method", "rounding": "--rounding", "bias_correction": "--no-bias-correction",
    "bit_exact": "--no-bit-exact", "float_layers": "--keep-float",
}  # fmt: skip


@dataclass(frozen=True)
class QuantizationOptions:
    """Numeric options of a quantization; the defaults preserve the most labels.

    Attributes:
        io: dtype of input and output; None uses the scheme's default.
        per_channel: give each output channel of a weight its own scale instead of one per tensor.
        dense_per_channel: the same for fully connected layers. TensorFlow Lite Micro before mid-2024 computes their
            per-channel form incorrectly, without an error.
        calibration_method: how the range of an activation follows from the calibration faces; calibrator.py describes
            the methods.
        rounding: "gptq" (each weight compensates for the rounding of the previous ones) or "nearest".
        bias_correction: subtract the mean error of rounded weights from the biases.
        bit_exact: choose scales with which all kernels compute the same outputs; bit_exact.py describes them.
        float_layers: regular expressions; layers with a matching name keep float weights and arithmetic.
    """

    io: str | None = None
    per_channel: bool = True
    dense_per_channel: bool = False
    calibration_method: str = "percentile"
    rounding: str = "gptq"
    bias_correction: bool = True
    bit_exact: bool = True
    float_layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("input and output type", self.io, (None, *IO_TYPES)),
            ("calibration method", self.calibration_method, CALIBRATION_METHODS),
            ("rounding", self.rounding, ROUNDINGS),
        ):
            if value not in allowed:
                choices = [name for name in allowed if name]
                raise UsageError(f"no {what} {value!r}", why=f"expected {', '.join(choices)}", hint=f"use {choices[0]}")
        for pattern in self.float_layers:
            try:
                re.compile(pattern)
            except re.error as error:
                what = f"{pattern!r} is not a regular expression"
                raise UsageError(what, why=str(error), hint="--keep-float 'stem.*'") from error

    def overrides(self) -> dict[str, Any]:
        """Return the fields that differ from the defaults."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value != getattr(DEFAULTS, name)}

    def to_json(self, names: Collection[str] | None = None) -> dict[str, Any]:
        """Return the fields, or those in ``names``, as a contract stores them; from_json() is the inverse."""
        kept = [field.name for field in dataclasses.fields(self)] if names is None else names
        values = {name: getattr(self, name) for name in kept}
        return {
            JSON_KEYS.get(name, name): JSON_VALUES.get(value, value) if isinstance(value, str) else value
            for name, value in values.items()
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> QuantizationOptions:
        """Read what to_json() returned; missing fields get their defaults.

        Raises:
            UsageError: an unknown value.
        """
        names, values = ({new: old for old, new in table.items()} for table in (JSON_KEYS, JSON_VALUES))
        options: dict[str, Any] = {
            names.get(key, key): values.get(value, value) if isinstance(value, str) else value
            for key, value in fields.items()
        }
        return cls(**{**options, "float_layers": tuple(options.get("float_layers", ()))})


DEFAULTS = QuantizationOptions()


def check_options(options: QuantizationOptions, *, scheme: str, supported: Collection[str]) -> None:
    """Raise UsageError if ``options`` overrides a field that is not in ``supported``, the fields of ``scheme``."""
    for name, value in options.overrides().items():
        if name not in supported:
            given = "" if isinstance(value, bool) else f" {' '.join(value) if isinstance(value, tuple) else value}"
            raise UsageError(
                f"{scheme} does not support {FLAGS[name]}{given}",
                why=f"it supports {', '.join(FLAGS[name] for name in supported) or 'no numeric options'}",
                hint="edgefer quantize --int8",
            )


TARGETS = ("litert", "tflite-runtime", "edgetpu", "tflm")


def for_target(options: QuantizationOptions, target: str | None) -> QuantizationOptions:
    """Return ``options`` with what only ``target`` allows: LiteRT computes per-channel dense layers correctly.

    Raises:
        UsageError: no such target.
    """
    if target is not None and target not in TARGETS:
        raise UsageError(f"no target {target!r}", why=f"expected {', '.join(TARGETS)}", hint="--target litert")
    return dataclasses.replace(options, dense_per_channel=True) if target == "litert" else options


def require_fit(model: bytes, target: str) -> None:
    """Raise IncompatibleError if the flatbuffer ``model`` does not run on ``target`` at all."""
    runtime = select_runtime("litert")
    failure = ""
    try:
        runtime.open_model(model).invoke()
    except IncompatibleError as error:
        failure = str(error)
    checks = check_targets(read_model(model), runtime="litert", failure=failure)
    (check,) = [check for check in checks if check.name.replace("_", "-") == target]
    if check.fits == "no":
        raise IncompatibleError(
            f"the model does not run on {target}",
            why=f"{'; '.join(check.obstacles)} (determined by: {check.how})",
            hint=f"another scheme: edgefer quantize --int8 --target {target}",
        )
