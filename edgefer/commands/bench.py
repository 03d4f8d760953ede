"""edgefer bench"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.commands._options import PATH, RUNTIMES, say
from edgefer.errors import UsageError
from edgefer.result import Result

if TYPE_CHECKING:
    from edgefer.measurement import BenchRequest

DEVICES = "edgefer.devices"
LOCAL = "local"


@click.command(short_help="Measure how long a model takes on a device.")
@click.argument("model", metavar="[MODEL]", required=False, type=PATH)
@click.option(
    "--device", is_flag=False, flag_value=LOCAL, default=LOCAL, metavar="[NAME]", help="Where.  [default: local]"
)
@click.option("--threads", default="1", show_default=True, metavar="N[,N...]", help="Numbers of threads to try.")
@click.option("--runtime", metavar="NAME", help=f"One of {RUNTIMES}.  [default: the best installed]")
@click.option(
    "--runs", type=click.IntRange(1), metavar="N", default=1024, show_default=True, help="Timed runs, at least."
)
@click.option(
    "--seconds", type=click.FloatRange(0), metavar="S", default=3.0, show_default=True, help="Timed seconds, at least."
)
@click.option(
    "--faces", type=PATH, metavar="FILE", help="An .npz with 'faces', uint8 (n, 48, 48).  [default: drawn faces]"
)
@click.option("--samples", is_flag=True, help="Keep each run's time in the JSON.")
def command(model: Path | None, device: str, threads: str, **options: Any) -> Result:
    """Measure how long a MODEL takes on a device: loading, first run, and steady runs with percentiles.

    Without MODEL: the newest artefact, else the model that ships.

    \b
    Example:
        edgefer bench --device
        edgefer bench model.tflite --threads 1,2,4 --out bench.json --samples
    """
    from edgefer import catalogue, records
    from edgefer.models import find_model
    from edgefer.report.text import measurements_text

    if device.endswith(".tflite"):
        raise UsageError(f"--device {device}", why="a device was expected", fix=f"edgefer bench {device} --device")
    counts = _thread_counts(threads)
    if not math.isfinite(options["seconds"]):
        raise UsageError(f"--seconds {options['seconds']}", why="a number was expected", fix="--seconds 3")
    place = catalogue.load(DEVICES, device)
    path, reason = find_model(model)
    say(f"model: {path} ({reason})\ndevice: {device}")
    measurements = [place.run(_request(path, threads=count, **options)) for count in counts]
    documents = [each.to_json(samples=options["samples"]) for each in measurements]
    return Result({**records.stamp("bench", 1), "measurements": documents}, measurements_text(measurements))


def _request(
    model: Path, *, threads: int, runtime: str | None, runs: int, seconds: float, faces: Path | None, samples: bool
) -> BenchRequest:
    from edgefer.measurement import BenchRequest

    say(f"{threads} thread{'s' if threads > 1 else ''}: at least {runs:,} run{'s' * (runs > 1)} and {seconds:g} s")
    return BenchRequest(
        model=str(model),
        faces=str(faces) if faces else None,
        runtime=runtime,
        threads=threads,
        minimum_runs=runs,
        minimum_seconds=seconds,
        samples=samples,
    )


def _thread_counts(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--threads {text}", why="positive numbers were expected", fix="--threads 1,2,4")
    return [int(part) for part in parts]
