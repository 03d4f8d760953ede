"""edgefer quantize"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer import catalogue
from edgefer.commands._options import PATH, data_options, open_data, say
from edgefer.errors import UsageError
from edgefer.result import Result

if TYPE_CHECKING:
    from edgefer.measurement import Measurement
    from edgefer.workstation.dataset import Dataset
    from edgefer.workstation.quantize import Quantized
    from edgefer.workstation.runs import Run

DEVICES = "edgefer.devices"
SCHEMES = "edgefer.workstation.schemes"


@click.command()
@click.argument("run_folder", metavar="[RUN]", required=False, type=PATH)
@data_options
@click.option("--scheme", metavar="NAME", help="The scheme; --int8 is short for --scheme int8.")
@click.option("--calibration-size", type=click.IntRange(1), default=500, show_default=True, help="Faces for ranges.")
@click.option("--max-drop", type=float, metavar="POINTS", help="Exit code 3 if more accuracy is lost.")
@click.option("--min-accuracy", type=float, metavar="PERCENT", help="Exit code 3 if less is reached.")
@click.option("--max-bytes", type=click.IntRange(1), metavar="N", help="Exit code 3 if the file is larger.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which faces those are.")
def command(run_folder: Path | None, scheme: str | None, calibration_size: int, seed: int, **options: Any) -> Result:
    """Turn a trained RUN (default: the newest) into a .tflite that carries its contract.

    The artefact is written into the run folder and compared with its float parent, image by image; flips.csv beside it
    lists each image whose label changed, flips.png shows the first 50.

    \b
    Example:
        edgefer quantize --int8
        edgefer quantize --int8 runs/latest --max-drop 0.5
    """
    from edgefer.workstation.runs import find_run
    from edgefer.workstation.summary import Gates, summary, write_flips

    data = {name: options.pop(name) for name in ("data", "ferplus", "skip_bad_rows")}
    gates = Gates(*(options.pop(name) for name in ("max_drop", "min_accuracy", "max_bytes")))
    chosen = _one_scheme(scheme, [name for name, given in options.items() if given])
    run = find_run(run_folder)
    run.require_weights()
    say(f"run: {run.folder} ({'as named' if run_folder else 'the newest'}), scheme {chosen}; {run.progress_note()}")
    dataset = open_data(**(data if data["data"] else run.opened_with()))
    quantized = _quantize(run, chosen, dataset, calibration_size=calibration_size, seed=seed)
    path = run.artefact(chosen)
    quantized.artefact.save(path)
    write_flips(quantized, path)
    return summary(quantized, path, _bench(path), gates=gates)


def _quantize(run: Run, scheme: str, dataset: Dataset, *, calibration_size: int, seed: int) -> Quantized:
    from edgefer.progress import shown
    from edgefer.workstation.quantize import quantize

    with shown("quantizing") as progress:
        return quantize(run, scheme, dataset, calibration_size=calibration_size, seed=seed, progress=progress)


def _bench(path: Path) -> Measurement:
    from edgefer.measurement import BenchRequest

    say("timing it here for a second")
    measured: Measurement = catalogue.load(DEVICES, "local").run(BenchRequest(model=str(path), minimum_seconds=1.0))
    return measured


def _one_scheme(scheme: str | None, flags: list[str]) -> str:
    named = [*flags, *([scheme] if scheme else [])]
    if len(named) != 1:
        raise UsageError(f"{len(named)} schemes were named", why="one is needed", fix="edgefer quantize --int8")
    return named[0]


for _name in catalogue.names(SCHEMES):
    command.params.append(click.Option([f"--{_name.replace('_', '-')}", _name], is_flag=True, help=f"Scheme {_name}."))
