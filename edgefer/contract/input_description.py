"""Write the input of a model as text, for --input and for messages.

    spec = parse_input("rgb,-1..1", InputSpec(96, 96))
    describe_input(spec)                            # "rgb 96x96, -1..1"
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from edgefer.contract.preprocessing import CHANNELS, MAX_MEAN, MAX_STD, MIN_STD, RESIZING, InputSpec
from edgefer.errors import UsageError

__all__ = ["RANGES", "describe_input", "describe_range", "parse_input"]

# Mean and standard deviation of the pixels, by the name of the range.
RANGES: Final[dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "0..1": ((0.0,), (255.0,)),
    "-1..1": ((127.5,), (127.5,)),
    "0..255": ((0.0,), (1.0,)),
    # torchvision.transforms.Normalize with the mean and std of ImageNet, in RGB.
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    # Mode "caffe" of keras.applications: mean of ImageNet, in BGR, without a scale.
    "caffe": ((103.939, 116.779, 123.68), (1.0,)),
}
# Order of the channels of a range with a mean for each, unless the words name another one.
ORDERS: Final = {"imagenet": "rgb", "caffe": "bgr"}
EXAMPLE = "gray,0..1"
EXPECTED = (
    f"expected a comma-separated list of {', '.join(CHANNELS)}; {', '.join(RANGES)}, mean=M or std=S; "
    f"{', '.join(RESIZING)}"
)


def describe_range(spec: InputSpec) -> str:
    """Return the name of the range of the input values, or its mean and std."""
    for name, (mean, std) in RANGES.items():
        if (spec.mean, spec.std) == (mean, std):
            return name
    return f"mean={_join(spec.mean)},std={_join(spec.std)}"


def describe_input(spec: InputSpec, *, always_range: bool = False) -> str:
    """Describe channels and size, and other values that are not the default.

    Args:
        spec: the input.
        always_range: include the range even if it is 0..1.
    """
    parts = [f"{spec.channels} {spec.width}x{spec.height}"]
    if always_range or not spec.has_unit_range:
        parts.append(describe_range(spec))
    if spec.resize != "area":
        parts.append(f"resized by {spec.resize}")
    if spec.clahe is not None:
        parts.append("CLAHE")
    return ", ".join(parts)


def parse_input(text: str, spec: InputSpec) -> InputSpec:
    """Apply the words of --input to ``spec``.

    Args:
        text: words separated by commas: channels, a range or mean=M and std=S, and an interpolation. M and S are one
            number, or one per channel separated by "/".
        spec: size, and the defaults of channels and interpolation.

    Raises:
        UsageError: a word is unknown, a number is out of range, or the text has no range.
    """
    given = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = word.partition("=")
        if word in CHANNELS:
            spec = dataclasses.replace(spec, channels=word)
        elif word in RANGES:
            mean, std = RANGES[word]
            given |= {"mean", "std"}
            spec = dataclasses.replace(spec, mean=mean, std=std)
            if word in ORDERS and spec.channels != "gray" and not given & {*CHANNELS}:
                spec = dataclasses.replace(spec, channels=ORDERS[word])
        elif word in RESIZING:
            spec = dataclasses.replace(spec, resize=word)
        elif equals and name == "mean":
            spec = dataclasses.replace(spec, mean=_numbers(word, value, -MAX_MEAN, MAX_MEAN))
        elif equals and name == "std":
            spec = dataclasses.replace(spec, std=_numbers(word, value, MIN_STD, MAX_STD))
        else:
            raise UsageError(f"--input {text!r}: unknown word {word!r}", why=EXPECTED, hint=f"--input {EXAMPLE}")
        given.add(name)
    if not given >= {"mean", "std"}:
        why = f"expected one of {', '.join(RANGES)}, or mean=M and std=S"
        hint = f"--input {spec.channels},0..1, or omit --input to determine it with --data"
        raise UsageError(f"--input {text!r} has no range", why=why, hint=hint)
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if len(values) not in (1, CHANNELS[spec.channels]):
            why = f"{name} has {len(values)} values for {CHANNELS[spec.channels]} channel(s)"
            raise UsageError(f"--input {text!r} does not fit the model", why=why, hint=f"--input {EXAMPLE}")
    return spec


def _numbers(word: str, text: str, low: float, high: float) -> tuple[float, ...]:
    parts = re.split("/", text)
    try:
        values = tuple(map(float, parts))
    except ValueError:
        values = ()
    if not values or not all(low <= value <= high for value in values):
        why = f"expected numbers from {low:g} to {high:g}, separated by /"
        raise UsageError(f"--input: {word!r}", why=why, hint="--input gray,mean=127.5,std=127.5")
    return values


def _join(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
