"""One model through every runtime that is installed, with every kind of kernels: where they agree, and where they part.

    parity = verify(artifact, faces, data="PublicTest of fer2013.csv", pythons=["old/bin/python"])
    parity.least_agreement, parity.rows[2].parting

An int8 model is not bit-stable: XNNPACK scales a sum of products with one float multiplication and rounds once, the
built-in and reference kernels follow gemmlowp and round twice. So about one value in a thousand is a step off behind
the first convolution already, and what matters is what becomes of it at the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.artifact import Artifact
from edgefer.errors import EdgeferError, IncompatibleError
from edgefer.inference.interpreters import InstalledRuntimes, installed_runtimes, run_model
from edgefer.inference.runtime import RUNTIMES, select_runtime
from edgefer.inspection.tensor_probe import Layer, list_layers, probe_tensors
from edgefer.plugins import load, names
from edgefer.progress import Progress, silent
from edgefer.results.parity import Configuration, Divergence, Parity, Row

__all__ = ["list_configurations", "verify"]

# Reference kernels have one thread. They are slow, 5.5 ms for a face where XNNPACK takes 0.16, but run all faces like
# the others: how many there are is the caller's choice, and agreement between any two rows wants the same faces in all.
THREADED, REFERENCE = ("default", "builtin"), ("reference", 1)
THREADS = (1, 4)
# Faces on which the layers of two configurations are compared.
LAYER_FACES = 32

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ConfigurationRun:
    """What one configuration made of the faces: its row so far, and (n, classes) outputs, or None."""

    row: Row
    outputs: Array | None


def list_configurations(
    runtimes: Sequence[str] | None = None, pythons: Sequence[str] = (), threads: Sequence[int] = THREADS
) -> tuple[dict[Configuration, str], dict[str, str]]:
    """What there is to run a model with.

    Args:
        runtimes: names, the first of which is what the others are compared with; None takes all that are installed.
        pythons: paths of other interpreters whose runtimes count too.
        threads: how many, for the kernels that can have several.

    Returns:
        versions: of the runtime of each configuration; empty for a runtime that was named and is nowhere installed.
        about: which Python and numpy stand behind each path in ``pythons``, and behind "", which is this process.

    Raises:
        UsageError: no such runtime or interpreter.
        IncompatibleError: no runtime is installed, or an interpreter cannot run edgefer or has none of them.
    """
    for name in runtimes or ():
        load(RUNTIMES, name)
    found: dict[str, InstalledRuntimes] = {python: installed_runtimes(python) for python in ("", *pythons)}
    for python in pythons:
        if not set(found[python].runtimes).intersection(runtimes or found[python].runtimes):
            wanted = tuple(runtimes or names(RUNTIMES))
            why = f"{found[python].about}; looked for {', '.join(wanted)}"
            hint = f"{python} -m {load(RUNTIMES, wanted[-1]).INSTALL}"
            raise IncompatibleError(f"{python} has no such runtime", why=why, hint=hint)
    if not any(each.runtimes for each in found.values()):
        select_runtime(None)  # raises, and names what to install
    versions = {}
    for name in runtimes or dict.fromkeys(name for each in found.values() for name in each.runtimes):
        homes = [home for home, each in found.items() if name in each.runtimes]
        for home in homes:
            for kernels, count in (*itertools.product(THREADED, threads), REFERENCE):
                versions[Configuration(name, kernels, count, home)] = found[home].runtimes[name]
        if not homes:
            versions[Configuration(name)] = ""
    return versions, {python: each.about for python, each in found.items()}


def verify(
    artifact: Artifact,
    faces: npt.NDArray[np.uint8] | None = None,
    *,
    data: str = "",
    runtimes: Sequence[str] | None = None,
    pythons: Sequence[str] = (),
    threads: Sequence[int] = THREADS,
    progress: Progress = silent,
) -> Parity:
    """Run ``artifact`` in every configuration and compare each with the first that runs, and any two at the end.

    Args:
        artifact: the model; its golden vectors are replayed in each configuration.
        faces: uint8 (n, height, width), n >= 1, prepared; None lets the golden vectors stand for them.
        data: what the faces are, for people.
        runtimes, pythons, threads: as configurations().
        progress: told after each configuration.

    Raises:
        UsageError, IncompatibleError: as configurations(). What one configuration fails with stands in its row.
    """
    golden = artifact.golden
    real = golden.inputs[:0] if faces is None else faces
    versions, about = list_configurations(runtimes, pythons, threads)
    ran: list[ConfigurationRun] = []
    for done, (configuration, version) in enumerate(versions.items()):
        progress(done, len(versions), f"{configuration.runtime}, {configuration.kernels} kernels")
        ran.append(_run(artifact, real, configuration, version))
    progress(len(ran), len(versions), "looking for the layers where they part")
    faces = real if len(real) else golden.inputs
    compared = _compared(artifact, faces, ran)
    progress(len(versions), len(versions), "done")
    least, pair = _least_agreement([each.outputs for each in ran])
    subject = {"sha256": artifact.sha256, "size_bytes": len(artifact.model), "scheme": artifact.scheme}
    return Parity(
        subject=subject | {key: artifact.provenance[key] for key in ("system",) if key in artifact.provenance},
        data=data,
        faces=len(faces),
        golden_vectors=len(golden.inputs),
        golden_tolerance=golden.tolerance,
        unit=golden.unit,
        pythons=about,
        rows=compared,
        least_agreement=least,
        least_pair=pair,
    )


def _run(
    artifact: Artifact, faces: npt.NDArray[np.uint8], configuration: Configuration, version: str
) -> ConfigurationRun:
    golden, row = artifact.golden, Row(configuration, version or None)
    try:
        outputs = run_model(artifact.model, np.concatenate([golden.inputs, faces]), configuration)
        if outputs.shape[1] != len(artifact.labels):
            raise IncompatibleError(f"the model has {outputs.shape[1]} outputs for {len(artifact.labels)} labels")
    except EdgeferError as error:
        return ConfigurationRun(replace(row, problem=f"{error.what}: {error.why}" if error.why else error.what), None)
    worst = float(golden.difference(outputs[: len(golden.inputs)]).max())
    # A NaN is not within a tolerance.
    row = replace(row, golden_worst=worst, golden_ok=worst <= golden.tolerance)
    return ConfigurationRun(row, outputs[len(golden.inputs) :] if len(faces) else outputs)


def _compared(artifact: Artifact, faces: npt.NDArray[np.uint8], ran: Sequence[ConfigurationRun]) -> tuple[Row, ...]:
    """The rows, each compared with the first that ran."""
    first = next((each for each in ran if each.outputs is not None), None)
    rows = []
    for each in ran:
        row = each.row
        if first is not None and first.outputs is not None and each is not first and each.outputs is not None:
            same = (first.outputs == each.outputs).all(axis=1)
            row = replace(
                row,
                identical=float(same.mean()),
                largest_difference=_largest(first.outputs, each.outputs),
                top1_agreement=_agreement(first.outputs, each.outputs),
            )
            if not same.all():
                pair = first.row.configuration, row.configuration
                row = replace(row, **_parting(artifact.model, faces[~same][:LAYER_FACES], *pair))
        rows.append(row)
    return tuple(rows)


def _parting(
    model: bytes, faces: npt.NDArray[np.uint8], first: Configuration, other: Configuration
) -> dict[str, Any]:
    """The fields of a Row that say where the two part; ``faces`` end in other outputs, so they do part."""
    try:
        for layer in list_layers(model):
            found = _parting_at(layer, probe_tensors(model, layer.tensor), faces, first, other)
            if found is not None:
                return {"parting": found}
    except EdgeferError as error:
        return {"parting_problem": f"{error.what}: {error.why}" if error.why else error.what}
    return {"parting_problem": "every layer agrees when it is put out by itself"}


def _parting_at(
    layer: Layer, model: bytes, faces: npt.NDArray[np.uint8], first: Configuration, other: Configuration
) -> Divergence | None:
    one, two = run_model(model, faces, first), run_model(model, faces, other)
    if np.array_equal(one, two):
        return None
    return Divergence(
        op=layer.op,
        name=layer.name,
        tensor=layer.tensor_name,
        faces=len(faces),
        differing=float((one != two).mean()),
        largest_difference=_largest(one, two),
        unit="steps" if one.dtype.kind in "iu" else "values",
    )


def _largest(one: Array, two: Array) -> float:
    return float(np.abs(one.astype(np.float64) - two.astype(np.float64)).max())


def _agreement(one: Array, two: Array) -> float:
    return float((one.argmax(axis=1) == two.argmax(axis=1)).mean())


def _least_agreement(outputs: Sequence[Array | None]) -> tuple[float | None, tuple[int, int] | None]:
    """The least top-1 agreement of any two, and which."""
    pairs = [
        (_agreement(one, two), (first, second))
        for (first, one), (second, two) in combinations(enumerate(outputs), 2)
        if one is not None and two is not None
    ]
    return min(pairs) if pairs else (None, None)
