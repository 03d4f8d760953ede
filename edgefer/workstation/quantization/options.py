"""Options of a quantization besides its scheme, and the limits of deployment targets.

    options = QuantizationOptions(io="uint8", ranges="percentile")
    dataclasses.replace(options, float_layers=("stem_conv",))

    options = for_target(options, "litert")
    require_fit(model, "tflm")                      # raises; the message names each unsupported operator

A scheme lists the fields that it supports in ``TAKES``; check_options() rejects other fields before any slow step.
Without a target, a model fits all targets that its scheme allows: operator versions of TensorFlow Lite 2.14, batch 1.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from edgefer.errors import IncompatibleError, UsageError
from edgefer.inference.runtime import select_runtime
from edgefer.inspection.compatibility import check_targets
from edgefer.inspection.flatbuffer import read_model

__all__ = ["DEFAULTS", "RANGE_METHODS", "TARGETS", "QuantizationOptions", "check_options", "for_target", "require_fit"]

IO_TYPES = ("int8", "uint8", "float32")
RANGE_METHODS = ("percentile", "min-max", "moving-average")
ROUNDINGS = ("second-order", "nearest")


@dataclass(frozen=True)
class QuantizationOptions:
    """How to quantize; each default is what is best without a reason to do otherwise.

    Attributes:
        io: dtype of input and output; None is what the scheme has by itself.
        per_channel: whether each output channel of a weight has its own scale, or each tensor one.
        dense_per_channel: the same for fully connected layers, whose per-channel form TensorFlow Lite Micro of before
            mid-2024 computes wrongly, without an error.
        ranges: how the range of an activation follows from what the calibration faces produce; see ranges.py.
        rounding: "second-order" (each weight makes up for the rounding of those before it) or "nearest".
        bias_correction: whether biases take back the mean error that rounded weights cause.
        float_layers: regular expressions; layers whose name one of them finds keep their float weights and arithmetic.
    """

    io: str | None = None
    per_channel: bool = True
    dense_per_channel: bool = False
    ranges: str = "percentile"
    rounding: str = "second-order"
    bias_correction: bool = True
    float_layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value, known in (
            ("input and output type", self.io, (None, *IO_TYPES)),
            ("range method", self.ranges, RANGE_METHODS),
            ("rounding", self.rounding, ROUNDINGS),
        ):
            if value not in known:
                choices = ", ".join(each for each in known if each)
                raise UsageError(f"no {what} {value!r}", why=f"there are {choices}", hint="one of these")
        for pattern in self.float_layers:
            try:
                re.compile(pattern)
            except re.error as error:
                what = f"{pattern!r} is no regular expression"
                raise UsageError(what, why=str(error), hint="--keep-float 'stem.*'") from error

    def told(self) -> dict[str, Any]:
        """What differs from the defaults, in plain values."""
        changed = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {name: value for name, value in changed.items() if value != getattr(DEFAULTS, name)}


# What is best without a reason to do otherwise.
DEFAULTS = QuantizationOptions()


def check_options(recipe: QuantizationOptions, *, scheme: str, takes: Collection[str]) -> None:
    """Raise UsageError where ``recipe`` asks ``scheme`` for something else than the fields in ``takes``."""
    for name, value in recipe.told().items():
        if name not in takes:
            shown = ", ".join(value) if isinstance(value, tuple) else value
            asked = f"{'with' if value else 'without'} {name.replace('_', ' ')}"
            raise UsageError(
                f"{scheme} {asked}" + ("" if isinstance(value, bool) else f" {shown}"),
                why=f"{scheme} leaves the choice of {', '.join(takes).replace('_', ' ') or 'nothing'}",
                hint="edgefer quantize --int8",
            )


TARGETS = ("litert", "tflite-runtime", "edgetpu", "tflm")


def for_target(recipe: QuantizationOptions, target: str | None) -> QuantizationOptions:
    """``recipe`` with what ``target`` allows beyond the others: LiteRT gets per-channel dense layers right.

    Raises:
        UsageError: no such target.
    """
    if target is not None and target not in TARGETS:
        raise UsageError(f"no target {target!r}", why=f"there are {', '.join(TARGETS)}", hint="--target tflite-runtime")
    return dataclasses.replace(recipe, dense_per_channel=True) if target == "litert" else recipe


def require_fit(model: bytes, target: str) -> None:
    """Raise IncompatibleError unless the flatbuffer runs on ``target``, in part at least."""
    module = select_runtime("litert")
    failure = ""
    try:
        module.open_model(model).invoke()
    except IncompatibleError as error:
        failure = str(error)
    targets = check_targets(read_model(model), runtime="litert", failure=failure)
    judged = {each.name.replace("_", "-"): each for each in targets}
    found = judged[target]
    if found.fits == "no":
        raise IncompatibleError(
            f"the model does not run on {target}",
            why=f"{'; '.join(found.obstacles)} (judged {found.how})",
            hint=f"another scheme: edgefer quantize --int8 --target {target}",
        )
