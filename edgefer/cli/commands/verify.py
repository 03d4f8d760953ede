"""Compare the outputs of a model across runtimes and kernels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer.cli.data_options import SYNTHETIC, DataOptions, open_data
from edgefer.cli.foreign import FeedOptions, feed_options, find_contract
from edgefer.cli.options import NAME, PATH, RUNTIMES, FiniteRange, log, parse_face_count, parse_threads
from edgefer.cli.outputs import INPUT
from edgefer.errors import EdgeferError, IncompatibleError, ThresholdNotMet
from edgefer.text_table import Result, percent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgefer.contract.preprocessing import InputSpec
    from edgefer.results.parity import Parity


def parse_faces(text: str) -> int | None:
    """Parse the number of faces to compare; None for "all"."""
    return parse_face_count(text, option="--faces", words={"all": None}, example=256)


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, type=PATH)
@click.option(
    "--data",
    type=INPUT,
    metavar="PATH",
    help="Data set, as for evaluate; the faces come from its validation split.  "
    "[default: $EDGEFER_DATA, else ./fer2013.csv, else only the golden vectors]",
)
@feed_options
@click.option(
    "--faces", "face_count", type=parse_faces, default="256", show_default=True, metavar="N|all",
    help="Number of faces, spread evenly over the validation split.",
)  # fmt: skip
@click.option("--runtime", metavar="NAME[,NAME...]", help=f"Runtimes: {RUNTIMES}.  [default: all installed]")
@click.option(
    "--threads", type=parse_threads, default="1,4", show_default=True, metavar="N[,N...]",
    help="Thread counts; reference kernels use one thread.",
)  # fmt: skip
@click.option(
    "--python",
    "pythons",
    type=NAME,
    multiple=True,
    metavar="PATH",
    help="Also use the runtimes of this Python, which needs numpy and OpenCV; may be repeated.",
)
@click.option(
    "--min-agreement",
    type=FiniteRange(0, 100),
    metavar="PERCENT",
    help="Exit code 3 if any two configurations agree on fewer labels, or one fails to run.",
)
def command(
    model: Path | None, data: str | None, feed: FeedOptions, face_count: int | None, runtime: str | None,
    threads: tuple[int, ...], pythons: tuple[str, ...], min_agreement: float | None,
) -> Result:  # fmt: skip
    """Run MODEL with every installed runtime and kind of kernel, and report where and how far the outputs differ.

    The default is the newest .tflite in runs/, or the shipped model small if there is none. An int8 model does not give
    bit-identical outputs everywhere.

    \b
    Example:
        edgefer verify model.tflite --data fer2013.csv --faces all
        edgefer verify --python tflite-venv/bin/python --min-agreement 99
    """
    import dataclasses

    from edgefer.contract.artifact import Artifact
    from edgefer.inspection.parity import list_configurations, verify
    from edgefer.progress import progress_bar
    from edgefer.report.terminal.parity import parity_text

    runtimes = [name.strip() for name in runtime.split(",")] if runtime else None
    path = find_contract(model, feed, data=DataOptions(data), needs_labels=False)
    artifact = Artifact.load(path)
    list_configurations(runtimes, pythons, threads)  # a missing runtime is reported before the data set is read
    faces, source = _read_faces(data, face_count, artifact.input_spec)
    with progress_bar("verifying") as progress:
        parity = verify(
            artifact, faces, data=source, runtimes=runtimes, pythons=pythons, threads=threads, progress=progress
        )
    parity = dataclasses.replace(parity, subject={**parity.subject, "file": path.name})
    return Result(parity.to_json(), parity_text(parity), _failure(parity, min_agreement))


def _read_faces(data: str | None, count: int | None, spec: InputSpec) -> tuple[npt.NDArray[np.uint8] | None, str]:
    """Return faces spread evenly over the validation split, and a description of them; None without a data set.

    Args:
        data: value of --data.
        count: number of faces; None for all.
        spec: input of the model.
    """
    import numpy as np

    from edgefer.contract.preprocessing import prepare_all
    from edgefer.contract.split_names import split_of_data
    from edgefer.data.dataset import resolve

    if data != SYNTHETIC and resolve(data) is None:
        log("data: only the golden vectors (no --data, no $EDGEFER_DATA and no ./fer2013.csv)")
        return None, ""
    dataset = open_data(DataOptions(data), spec=spec)
    pixels = dataset.split("PublicTest").pixels
    chosen = np.linspace(0, len(pixels) - 1, min(count or len(pixels), len(pixels))).round().astype(int)
    return prepare_all(pixels[chosen], spec), split_of_data("PublicTest", data=dataset.layout)


def _failure(parity: Parity, min_agreement: float | None) -> EdgeferError | None:
    """Return the error to exit with: a wrong output, no working runtime, or too little agreement."""
    if parity.outside_tolerance:
        worst = max(parity.outside_tolerance, key=lambda row: row.golden_worst or 0.0)
        return IncompatibleError(
            f"the model gives wrong outputs with {worst.configuration.runtime} {worst.version}",
            why=f"golden vectors differ by {worst.golden_worst:g} {parity.unit}, tolerance {parity.golden_tolerance:g}",
            hint="another runtime on the device, or quantize the run again with the runtime of the device",
        )
    if all(row.problem for row in parity.rows):
        return IncompatibleError("no runtime could run the model", why=parity.rows[0].problem, hint="another --runtime")
    if min_agreement is None:
        return None
    if parity.failed:
        row = parity.failed[0]
        what = f"--min-agreement {min_agreement:g}: {row.configuration.runtime} failed to run"
        return ThresholdNotMet(what, why=row.problem, hint="install it, or list the other runtimes with --runtime")
    # The negated comparison also fails a threshold of NaN.
    if parity.least_agreement is not None and not 100 * parity.least_agreement >= min_agreement:
        what = f"--min-agreement {min_agreement:g}: the lowest agreement is {percent(parity.least_agreement)}"
        why = "the two configurations that differ most assign the same label to this share of the faces"
        return ThresholdNotMet(what, why=why, hint="a lower --min-agreement")
    return None
