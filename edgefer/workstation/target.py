"""What a model has to keep to in order to run on a target.

    recipe = for_target(recipe, "litert")
    require_fit(model, "tflm")                      # raises, naming each operator that stands in the way

Without a target a model is made for all of them as far as its scheme allows: operator versions that TensorFlow Lite
2.14 has, and batch 1.
"""

from __future__ import annotations

import dataclasses

from edgefer.board.anatomy import read
from edgefer.board.runtime import choose
from edgefer.board.targets import targets
from edgefer.errors import IncompatibleError, UsageError
from edgefer.workstation.recipe import Recipe

__all__ = ["TARGETS", "for_target", "require_fit"]

TARGETS = ("litert", "tflite-runtime", "edgetpu", "tflm")


def for_target(recipe: Recipe, target: str | None) -> Recipe:
    """``recipe`` with what ``target`` allows beyond the others: LiteRT gets per-channel dense layers right.

    Raises:
        UsageError: no such target.
    """
    if target is not None and target not in TARGETS:
        raise UsageError(f"no target {target!r}", why=f"there are {', '.join(TARGETS)}", fix="--target tflite-runtime")
    return dataclasses.replace(recipe, dense_per_channel=True) if target == "litert" else recipe


def require_fit(model: bytes, target: str) -> None:
    """Raise IncompatibleError unless the flatbuffer runs on ``target``, in part at least."""
    module = choose("litert")
    failure = ""
    try:
        module.open_model(model).invoke()
    except IncompatibleError as error:
        failure = str(error)
    judged = {each.name.replace("_", "-"): each for each in targets(read(model), runtime="litert", failure=failure)}
    found = judged[target]
    if found.fits == "no":
        raise IncompatibleError(
            f"the model does not run on {target}",
            why=f"{'; '.join(found.obstacles)} (judged {found.how})",
            fix=f"another scheme: edgefer quantize --int8 --target {target}",
        )
