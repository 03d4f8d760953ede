"""edgefer verify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer.cli.options import PATH, RUNTIMES, SYNTHETIC, open_data, say
from edgefer.errors import EdgeferError, IncompatibleError, ThresholdNotMet, UsageError
from edgefer.text_table import Result, percent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgefer.contract.preprocessing import InputSpec
    from edgefer.results.parity import Parity

ALL = "all"


@click.command(short_help="Compare a model's answers across runtimes and kernels.")
@click.argument("model", metavar="[MODEL]", required=False, type=PATH)
@click.option(
    "--data",
    metavar="PATH",
    help="Real faces: as for evaluate, of which PublicTest is taken.  "
    "[default: $EDGEFER_DATA, else ./fer2013.csv, else the golden vectors alone]",
)
@click.option("--faces", default="256", show_default=True, metavar="N|all", help="How many, spread over PublicTest.")
@click.option("--runtime", metavar="NAME[,NAME...]", help=f"Of {RUNTIMES}.  [default: all that are installed]")
@click.option("--threads", default="1,4", show_default=True, metavar="N[,N...]", help="How many; reference has one.")
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="PATH",
    help="Also the runtimes of this interpreter, which has numpy and OpenCV. May be given more than once.",
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit code 3 if any two agree on fewer labels, or one does not run.",
)
def command(
    model: Path | None,
    data: str | None,
    faces: str,
    runtime: str | None,
    threads: str,
    pythons: tuple[str, ...],
    min_agreement: float | None,
) -> Result:
    """Run MODEL with every runtime and kind of kernels here, and say how far their answers differ and since where.

    An int8 model is not equal to the last bit everywhere. Without MODEL: the newest artifact, else the one that ships.

    \b
    Example:
        edgefer verify model.tflite --data fer2013.csv --faces all
        edgefer verify --python tflite-venv/bin/python --min-agreement 99
    """
    import dataclasses
    import functools

    from edgefer.contract.artifact import Artifact
    from edgefer.inspection.parity import verify
    from edgefer.models import find_model
    from edgefer.progress import shown
    from edgefer.report.terminal.parity import parity_text

    count, counts = _count(faces), _threads(threads)
    runtimes = [name.strip() for name in runtime.split(",")] if runtime else None
    path, reason = find_model(model)
    say(f"model: {path} ({reason})")
    artifact = Artifact.load(path)
    real, told = _faces(data, count, artifact.input_spec)
    compare = functools.partial(verify, runtimes=runtimes, pythons=pythons, threads=counts)
    with shown("verifying") as progress:
        parity = compare(artifact, real, data=told, progress=progress)
    parity = dataclasses.replace(parity, subject={**parity.subject, "file": path.name})
    return Result(parity.to_json(), parity_text(parity), _failure(parity, min_agreement))


def _count(faces: str) -> int | None:
    if faces != ALL and not (faces.isdecimal() and int(faces) > 0):
        raise UsageError(f"--faces {faces}", why="a positive number or 'all' was expected", hint="--faces 256")
    return None if faces == ALL else int(faces)


def _threads(threads: str) -> list[int]:
    counts = [each.strip() for each in threads.split(",")]
    if not all(each.isdecimal() and int(each) > 0 for each in counts):
        raise UsageError(f"--threads {threads}", why="positive numbers were expected", hint="--threads 1,4")
    return list(dict.fromkeys(int(each) for each in counts))


def _faces(data: str | None, count: int | None, spec: InputSpec) -> tuple[npt.NDArray[np.uint8] | None, str]:
    """``count`` faces of PublicTest (None is all), spread evenly, and what they are; None where there are no data."""
    import numpy as np

    from edgefer.contract.preprocessing import prepare_all
    from edgefer.data.dataset import resolve

    if data != SYNTHETIC and resolve(data) is None:
        say("data: golden vectors alone (no --data, no $EDGEFER_DATA and no ./fer2013.csv)")
        return None, ""
    dataset = open_data(data, None, False)
    pixels = dataset.split("PublicTest").pixels
    chosen = np.linspace(0, len(pixels) - 1, min(count or len(pixels), len(pixels))).round().astype(int)
    return prepare_all(pixels[chosen], spec), f"PublicTest of {dataset.layout}"


def _failure(parity: Parity, min_agreement: float | None) -> EdgeferError | None:
    if parity.beyond:
        worst = max(parity.beyond, key=lambda row: row.golden_worst or 0.0)
        return IncompatibleError(
            f"the model computes something else with {worst.configuration.runtime} {worst.version}",
            why=f"golden vectors are {worst.golden_worst:g} {parity.unit} off; {parity.golden_tolerance:g} are allowed",
            hint="another runtime on the device, or quantize the run again with the runtime of the device",
        )
    if all(row.problem for row in parity.rows):
        return IncompatibleError("the model ran nowhere", why=parity.rows[0].problem, hint="another --runtime")
    if min_agreement is None:
        return None
    if parity.failed:
        row = parity.failed[0]
        what = f"--min-agreement {min_agreement:g}: {row.configuration.runtime} did not run"
        return ThresholdNotMet(what, why=row.problem, hint="install it, or name the others with --runtime")
    # "Not at least" and not "less": a bound of NaN is never kept.
    if parity.least_agreement is not None and not 100 * parity.least_agreement >= min_agreement:
        found = percent(parity.least_agreement)
        what = f"--min-agreement {min_agreement:g}: {found} was reached"
        return ThresholdNotMet(what, why="so often do the two that differ most give the same label", hint="a lower bound")
    return None
