"""edgefer quantize"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer import catalogue
from edgefer.commands._options import PATH, data_options, open_data_of, say
from edgefer.errors import UsageError
from edgefer.result import Result

if TYPE_CHECKING:
    from edgefer.measurement import Measurement
    from edgefer.workstation.dataset import Dataset
    from edgefer.workstation.qat import QatSettings
    from edgefer.workstation.quantize import Quantized
    from edgefer.workstation.runs import Run
    from edgefer.workstation.stratified import Chosen
    from edgefer.workstation.summary import Gates

DEVICES = "edgefer.devices"
SCHEMES = "edgefer.workstation.schemes"
SIZE = 500
DATA = ("data", "ferplus", "skip_bad_rows")
CALIBRATION = ("set_name", "calibration_size", "seed")
QAT = ("qat_epochs", "qat_learning_rate", "distill")


@click.command(short_help="Turn a trained run into a .tflite.")
@click.argument("run_folder", metavar="[RUN]", required=False, type=PATH)
@data_options
@click.option("--scheme", metavar="NAME", help=f"One of {', '.join(catalogue.names(SCHEMES))}.")
@click.option("--all", "every", is_flag=True, help="Every scheme, in one table.")
@click.option(
    "--calibration",
    "set_name",
    metavar="SET",
    help="The faces for ranges: a .csv of edgefer calibrate, fer2013-500 or fer2013-210.  "
    "[default: fer2013-500 if the data are FER2013, else drawn from Training]",
)
@click.option("--calibration-size", type=click.IntRange(1), help="Draw so many faces instead.  [default: 500]")
@click.option("--seed", type=click.IntRange(0), help="Draw these faces instead.  [default: 0]")
@click.option(
    "--stability",
    type=click.IntRange(2),
    metavar="K",
    help="Also convert with K disjoint sets of faces, and tell how far the scores spread.",
)
@click.option("--qat-epochs", type=click.IntRange(1), metavar="N", help="How long int8_qat trains.  [default: 3]")
@click.option("--qat-learning-rate", type=float, metavar="RATE", help="Its peak in int8_qat.  [default: 0.0001]")
@click.option(
    "--distill",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="How much int8_qat learns from its float parent's answers; the rest from the labels.  [default: 1]",
)
@click.option("--max-drop", type=float, metavar="POINTS", help="Exit code 3 if more accuracy is lost.")
@click.option("--min-accuracy", type=float, metavar="PERCENT", help="Exit code 3 if less is reached.")
@click.option("--max-bytes", type=click.IntRange(1), metavar="N", help="Exit code 3 if the file is larger.")
def command(run_folder: Path | None, scheme: str | None, stability: int | None, **options: Any) -> Result:
    """Turn a trained RUN (default: the newest) into a .tflite that carries its contract.

    The artefact is written into the run folder and compared with its float parent, image by image; flips.csv beside it
    lists each image whose label changed, flips.png shows the first 50.

    \b
    Example:
        edgefer quantize --int8
        edgefer quantize --int8 runs/latest --max-drop 0.5
        edgefer quantize --all
        edgefer quantize --int8-qat --qat-epochs 8 --distill 0.5
        edgefer quantize --int8 --calibration my-set.csv --stability 5
    """
    from edgefer.workstation.runs import find_run
    from edgefer.workstation.summary import Gates, together

    data, asked, tuning = ({name: options.pop(name) for name in names} for names in (DATA, CALIBRATION, QAT))
    gates = Gates(*(options.pop(name) for name in ("max_drop", "min_accuracy", "max_bytes")))
    schemes = _schemes(scheme, options.pop("every"), [name for name, given in options.items() if given])
    for chosen in schemes:
        _check(chosen, stability, **asked)
    qat = _qat(schemes, **tuning)
    run = find_run(run_folder)
    run.require_weights()
    say(f"run: {run.folder} ({'as named' if run_folder else 'the newest'}); {run.progress_note()}")
    _require_trainable(run, qat)
    dataset = open_data_of(run, **data)
    results = [_make(run, each, dataset, stability=stability, gates=gates, qat=qat, **asked) for each in schemes]
    return results[0] if len(results) == 1 else together(results)


def _make(
    run: Run,
    scheme: str,
    dataset: Dataset,
    *,
    stability: int | None,
    gates: Gates,
    qat: QatSettings | None,
    **asked: Any,
) -> Result:
    from edgefer.workstation.summary import summary, write_flips

    say(f"scheme: {scheme}, {catalogue.load(SCHEMES, scheme).DESCRIPTION}")
    calibration = _calibration(scheme, run, dataset, **asked)
    sets = _disjoint_sets(stability, run, dataset, **calibration)
    quantized, path = _quantize(run, scheme, dataset, qat=qat, **calibration), run.artefact(scheme)
    quantized.artefact.save(path)
    write_flips(quantized, path)
    result = summary(quantized, path, _bench(path), gates=gates)
    return _with_stability(result, run, scheme, dataset, sets) if sets else result


def _quantize(run: Run, scheme: str, dataset: Dataset, **options: Any) -> Quantized:
    from edgefer.progress import shown
    from edgefer.workstation.quantize import quantize

    with shown("quantizing") as progress:
        return quantize(run, scheme, dataset, **options, progress=progress)


def _bench(path: Path) -> Measurement:
    from edgefer.measurement import BenchRequest

    say("timing it here for a second")
    measured: Measurement = catalogue.load(DEVICES, "local").run(BenchRequest(model=str(path), minimum_seconds=1.0))
    return measured


def _check(scheme: str, stability: int | None, set_name: str | None, **drawing: int | None) -> None:
    """Refuse what contradicts itself before anything is read."""
    needs_calibration = catalogue.load(SCHEMES, scheme).NEEDS_CALIBRATION
    given = [name for name, value in (("--calibration", set_name), ("--stability", stability)) if value]
    if given and not needs_calibration:
        raise UsageError(f"{given[0]} with {scheme}", why="it is not calibrated", fix="edgefer quantize --int8")
    if stability and catalogue.load(SCHEMES, scheme).NEEDS_TRAINING:
        why = "the network would be trained anew with each set of faces"
        raise UsageError(f"--stability with {scheme}", why=why, fix="edgefer quantize --int8 --stability 5")
    also = [name for name, value in drawing.items() if value is not None]
    if set_name and also:
        flag = f"--{also[0].replace('_', '-')}"
        raise UsageError(f"--calibration with {flag}", why="a set says which faces it has", fix=f"leave out {flag}")


def _qat(schemes: list[str], **tuning: Any) -> QatSettings | None:
    """How the schemes that need training do it; None where there are none among ``schemes``."""
    given = {name.removeprefix("qat_"): value for name, value in tuning.items() if value is not None}
    if not any(catalogue.load(SCHEMES, scheme).NEEDS_TRAINING for scheme in schemes):
        if given:
            flag = next(name for name, value in tuning.items() if value is not None).replace("_", "-")
            raise UsageError(f"--{flag} with {schemes[0]}", why="it is not trained", fix="edgefer quantize --int8-qat")
        return None
    from edgefer.workstation.qat import QatSettings

    return QatSettings(**given)


def _require_trainable(run: Run, qat: QatSettings | None) -> None:
    if qat is None:
        return
    from edgefer.workstation.qat import require_supported

    require_supported(run)
    say(f"int8_qat trains for {qat.epochs} epoch{'s' * (qat.epochs != 1)}, which takes minutes on FER2013")


def _calibration(
    scheme: str, run: Run, dataset: Dataset, *, set_name: str | None, calibration_size: int | None, seed: int | None
) -> dict[str, Any]:
    """What quantize() is told about calibration; the user is told too."""
    if not catalogue.load(SCHEMES, scheme).NEEDS_CALIBRATION:
        return {}
    from edgefer.workstation.calibration_set import find_set
    from edgefer.workstation.training import without_selection

    run.require_data(dataset)
    is_drawn = calibration_size is not None or seed is not None
    found = None if is_drawn else find_set(set_name, without_selection(dataset, run.settings()))
    if found is not None:
        say(f"calibration: {found}")
        return {"calibration": found}
    size, seed = calibration_size or SIZE, seed or 0
    why = "as asked for" if is_drawn else "no set that ships is of these data"
    say(f"calibration: {size:,} faces drawn from Training, seed {seed} ({why})")
    return {"calibration_size": size, "seed": seed}


def _disjoint_sets(stability: int | None, run: Run, dataset: Dataset, **calibration: Any) -> list[Chosen]:
    if stability is None:
        return []
    from edgefer.workstation.stratified import candidates
    from edgefer.workstation.training import without_selection

    found = calibration.get("calibration")
    size = len(found.faces) if found else calibration["calibration_size"]
    usable = candidates(without_selection(dataset, run.settings()))
    return usable.choose_disjoint(sets=stability, size=size, seed=calibration.get("seed", 0))


def _with_stability(result: Result, run: Run, scheme: str, dataset: Dataset, sets: list[Chosen]) -> Result:
    from edgefer.progress import shown
    from edgefer.workstation.stability import stability, with_stability

    with shown("checking stability") as progress:
        return with_stability(result, stability(run, scheme, dataset, sets, progress=progress))


def _schemes(scheme: str | None, every: bool, flags: list[str]) -> list[str]:
    if every and not scheme and not flags:
        return list(catalogue.names(SCHEMES))
    named = [*flags, *([scheme] if scheme else []), *(["--all"] if every else [])]
    if len(named) != 1:
        raise UsageError(f"{len(named)} schemes were named", why="one is needed", fix="edgefer quantize --int8")
    return named


for _name in catalogue.names(SCHEMES):
    _flag, _help = f"--{_name.replace('_', '-')}", f"Short for --scheme {_name}."
    command.params.append(click.Option([_flag, _name], is_flag=True, help=_help))
