"""Run a model with every installed runtime and kind of kernel, and report agreement and the first differing layer.

    parity = verify(artifact, faces, data="PublicTest of fer2013.csv", pythons=["old/bin/python"])
    parity.least_agreement, parity.rows[2].divergence

The outputs of an int8 model can differ between kernels. XNNPACK scales a sum of products with one float multiplication
and rounds once; the built-in and reference kernels follow gemmlowp and round twice. With the scales of the plain
converter, about one value in a thousand differs by a step after the first convolution. With those of
edgefer/workstation/quantization/bit_exact.py, none does.
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
from edgefer.inference.first_load import trust_model
from edgefer.inference.interpreters import InstalledRuntimes, installed_runtimes, run_model
from edgefer.inference.runtime import RUNTIMES, select_runtime
from edgefer.inspection.tensor_probe import Layer, list_layers, probe_tensors
from edgefer.plugins import load, names
from edgefer.progress import Progress, silent
from edgefer.results.parity import Configuration, Divergence, Parity, Row

__all__ = ["list_configurations", "verify"]

# Reference kernels use one thread. They are slow (5.5 ms per face, XNNPACK 0.16 ms) but run all faces, because the
# agreement between two rows requires the same faces. The caller chooses the number of faces.
THREADED, REFERENCE = ("default", "builtin"), ("reference", 1)
THREADS = (1, 4)
# Number of faces for comparing the layers of two configurations.
LAYER_FACES = 32

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ConfigurationRun:
    """The outputs of one configuration.

    Attributes:
        row: the row of the result, not yet compared with others.
        outputs: (n, classes), or None if the run failed.
    """

    row: Row
    outputs: Array | None


def list_configurations(
    runtimes: Sequence[str] | None = None, pythons: Sequence[str] = (), threads: Sequence[int] = THREADS
) -> tuple[dict[Configuration, str], dict[str, str]]:
    """List the configurations that can run a model.

    Args:
        runtimes: names of runtimes, the baseline first; None for all that are installed.
        pythons: paths of other Python interpreters whose runtimes are included.
        threads: thread counts of the kernels that support several threads.

    Returns:
        versions: runtime version by configuration; empty for a requested runtime that is not installed.
        about: versions of Python and numpy by path in ``pythons``; the key "" is this process.

    Raises:
        UsageError: a runtime or an interpreter does not exist.
        IncompatibleError: no runtime is installed, or an interpreter cannot run edgefer or has no such runtime.
    """
    for name in runtimes or ():
        load(RUNTIMES, name)
    installed: dict[str, InstalledRuntimes] = {python: installed_runtimes(python) for python in ("", *pythons)}
    for python in pythons:
        if not set(installed[python].runtimes).intersection(runtimes or installed[python].runtimes):
            expected = tuple(runtimes or names(RUNTIMES))
            why = f"{installed[python].about}; expected {', '.join(expected)}"
            hint = f"{python} -m {load(RUNTIMES, expected[-1]).INSTALL}"
            raise IncompatibleError(f"{python} has no such runtime", why=why, hint=hint)
    if not any(home.runtimes for home in installed.values()):
        select_runtime(None)  # raises an error with the command that installs one
    versions = {}
    for name in runtimes or dict.fromkeys(name for home in installed.values() for name in home.runtimes):
        homes = [home for home, available in installed.items() if name in available.runtimes]
        for home in homes:
            for kernels, count in (*itertools.product(THREADED, threads), REFERENCE):
                versions[Configuration(name, kernels, count, home)] = installed[home].runtimes[name]
        if not homes:
            versions[Configuration(name)] = ""
    return versions, {python: home.about for python, home in installed.items()}


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
    """Run ``artifact`` in every configuration and compare the outputs.

    Each row is compared with the first that runs. The least agreement is over all pairs of rows.

    Args:
        artifact: the model; each configuration replays its golden vectors.
        faces: preprocessed faces, uint8 (n, height, width) with n >= 1; None for the golden vectors.
        data: description of the faces.
        runtimes: names of runtimes, the baseline first; None for all that are installed.
        pythons: paths of other Python interpreters whose runtimes are included.
        threads: thread counts of the kernels that support several threads.
        progress: called before each configuration.

    Raises:
        UsageError: a runtime or an interpreter does not exist.
        IncompatibleError: no runtime is installed, or an interpreter cannot run edgefer or has no such runtime. The
            error of a single configuration is recorded in its row.
    """
    golden = artifact.golden
    real = golden.inputs[:0] if faces is None else faces
    versions, about = list_configurations(runtimes, pythons, threads)
    runs: list[ConfigurationRun] = []
    for done, (configuration, version) in enumerate(versions.items()):
        progress(done, len(versions), f"{configuration.runtime}, {configuration.kernels} kernels")
        runs.append(_run(artifact, real, configuration, version))
    progress(len(runs), len(versions), "comparing layers")
    faces = real if len(real) else golden.inputs
    rows = _compare(artifact, faces, runs)
    progress(len(versions), len(versions), "done")
    least, pair = _least_agreement([run.outputs for run in runs])
    subject = {"sha256": artifact.sha256, "size_bytes": len(artifact.model), "scheme": artifact.scheme}
    return Parity(
        subject=subject | {key: artifact.provenance[key] for key in ("system",) if key in artifact.provenance},
        data=data,
        faces=len(faces),
        golden_vectors=len(golden.inputs),
        golden_tolerance=golden.tolerance,
        unit=golden.unit,
        pythons=about,
        rows=rows,
        least_agreement=least,
        least_pair=pair,
    )


def _run(
    artifact: Artifact, faces: npt.NDArray[np.uint8], configuration: Configuration, version: str
) -> ConfigurationRun:
    golden, row = artifact.golden, Row(configuration, version or None)
    try:
        outputs = run_model(artifact.model, np.concatenate([golden.inputs, faces]), configuration, artifact.input_spec)
        if outputs.shape[1] != len(artifact.labels):
            raise IncompatibleError(f"the model has {outputs.shape[1]} outputs for {len(artifact.labels)} labels")
    except EdgeferError as error:
        return ConfigurationRun(replace(row, problem=f"{error.what}: {error.why}" if error.why else error.what), None)
    worst = float(golden.difference(outputs[: len(golden.inputs)]).max())
    # The comparison is False for NaN.
    row = replace(row, golden_worst=worst, golden_ok=worst <= golden.tolerance)
    return ConfigurationRun(row, outputs[len(golden.inputs) :] if len(faces) else outputs)


def _compare(artifact: Artifact, faces: npt.NDArray[np.uint8], runs: Sequence[ConfigurationRun]) -> tuple[Row, ...]:
    """Return the rows, each compared with the first that has outputs."""
    first = next((run for run in runs if run.outputs is not None), None)
    rows = []
    for run in runs:
        row = run.row
        if first is not None and first.outputs is not None and run is not first and run.outputs is not None:
            same = (first.outputs == run.outputs).all(axis=1)
            row = replace(
                row,
                identical=float(same.mean()),
                largest_difference=_largest(first.outputs, run.outputs),
                top1_agreement=_agreement(first.outputs, run.outputs),
            )
            if not same.all():
                pair = first.row.configuration, row.configuration
                row = replace(row, **_find_divergence(artifact, faces[~same][:LAYER_FACES], *pair))
        rows.append(row)
    return tuple(rows)


def _find_divergence(
    artifact: Artifact, faces: npt.NDArray[np.uint8], first: Configuration, other: Configuration
) -> dict[str, Any]:
    """Return the fields of a Row about the first differing layer; the outputs for ``faces`` differ."""
    try:
        for layer in list_layers(artifact.model):
            probe = replace(artifact, model=probe_tensors(artifact.model, layer.tensor))
            divergence = _divergence_at(layer, probe, faces, first, other)
            if divergence is not None:
                return {"divergence": divergence}
    except EdgeferError as error:
        return {"divergence_problem": f"{error.what}: {error.why}" if error.why else error.what}
    return {"divergence_problem": "every layer agrees when it is the output of the model"}


def _divergence_at(
    layer: Layer, probe: Artifact, faces: npt.NDArray[np.uint8], first: Configuration, other: Configuration
) -> Divergence | None:
    # The model itself has passed the check, and only the index of its output differs.
    trust_model(probe.model)
    one, two = (run_model(probe.model, faces, setting, probe.input_spec) for setting in (first, other))
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
    """Return the lowest top-1 agreement of two configurations, and their indices."""
    pairs = [
        (_agreement(one, two), (first, second))
        for (first, one), (second, two) in combinations(enumerate(outputs), 2)
        if one is not None and two is not None
    ]
    return min(pairs) if pairs else (None, None)
