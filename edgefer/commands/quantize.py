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
    from edgefer.workstation.quantization import Console, Plan

SCHEMES = "edgefer.workstation.schemes"
DATA = ("data", "ferplus", "skip_bad_rows")
RECIPE = ("io", "ranges", "rounding")
GATES = ("max_drop", "min_accuracy", "max_bytes")
QAT = ("qat_epochs", "qat_learning_rate", "distill")


@click.command(short_help="Turn a trained run into a .tflite.")
@click.argument("run_folder", metavar="[RUN]", required=False, type=PATH)
@data_options
@click.option("--scheme", metavar="NAME", help=f"One of {', '.join(catalogue.names(SCHEMES))}.")
@click.option("--all", "every", is_flag=True, help="Every scheme, in one table.")
@click.option(
    "--auto", is_flag=True, help="int8, searched until --max-drop holds (0.3 points by itself); trains on if it must."
)
@click.option("--target", metavar="NAME", help="litert, tflite-runtime, edgetpu, tflm: refuses what cannot run there.")
@click.option("--io", metavar="DTYPE", help="Input and output: int8, uint8 or float32.  [default: as the scheme]")
@click.option(
    "--calibration",
    "set_name",
    metavar="SET",
    help="The faces for ranges: a .csv of edgefer calibrate, fer2013-500 or fer2013-210.  "
    "[default: fer2013-500 if the data are FER2013, else drawn from Training]",
)
@click.option("--calibration-size", "size", type=click.IntRange(1), help="Draw so many faces instead.  [default: 500]")
@click.option("--seed", type=click.IntRange(0), help="Draw these faces instead.  [default: 0]")
@click.option("--ranges", metavar="METHOD", help="percentile, min-max or moving-average.  [default: percentile]")
@click.option("--rounding", metavar="METHOD", help="Of weights: second-order or nearest.  [default: second-order]")
@click.option("--no-bias-correction", is_flag=True, help="Leave in the biases what rounding has shifted.")
@click.option("--per-tensor", is_flag=True, help="One scale a weight tensor instead of one an output channel.")
@click.option("--skip-layer", multiple=True, metavar="REGEX", help="Keep these layers in float; may be repeated.")
@click.option("--qat-epochs", type=click.IntRange(1), metavar="N", help="How long int8_qat trains.  [default: 3]")
@click.option("--qat-learning-rate", type=float, metavar="RATE", help="Its peak in int8_qat.  [default: 0.0001]")
@click.option(
    "--distill",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="How much int8_qat learns from its float parent's answers; the rest from the labels.  [default: 1]",
)
@click.option("--debug-layers", is_flag=True, help="Say which layers lose what: layers.csv, bars, the culprits.")
@click.option(
    "--stability",
    type=click.IntRange(2),
    metavar="K",
    help="Also convert with K disjoint sets of faces, and tell how far the scores spread.",
)
@click.option("--max-drop", type=float, metavar="POINTS", help="Exit code 3 if more accuracy is lost.")
@click.option("--min-accuracy", type=float, metavar="PERCENT", help="Exit code 3 if less is reached.")
@click.option("--max-bytes", type=click.IntRange(1), metavar="N", help="Exit code 3 if the file is larger.")
def command(run_folder: Path | None, **options: Any) -> Result:
    """Turn a trained RUN (default: the newest) into a .tflite that carries its contract.

    The artefact is written into the run folder and compared with its float parent, image by image; flips.csv beside it
    lists each image whose label changed, flips.png shows the first 50.

    \b
    Example:
        edgefer quantize --int8
        edgefer quantize --int8 runs/latest --max-drop 0.5 --debug-layers
        edgefer quantize --auto --max-drop 0.3
        edgefer quantize --all
        edgefer quantize --int8 --target tflm --io int8
        edgefer quantize --int8 --calibration my-set.csv --stability 5
        edgefer quantize --int8-qat --qat-epochs 8 --distill 0.5
    """
    from edgefer.workstation.quantization import carry_out
    from edgefer.workstation.runs import find_run
    from edgefer.workstation.summary import together

    data = {name: options.pop(name) for name in DATA}
    plans = _plans(options)
    run = find_run(run_folder)
    run.require_weights()
    say(f"run: {run.folder} ({'as named' if run_folder else 'the newest'}); {run.progress_note()}")
    for plan in plans:
        plan.check_run(run)
    dataset = open_data_of(run, **data)
    results = [carry_out(run, dataset, plan, _console()) for plan in plans]
    return results[0] if len(results) == 1 else together(results)


def _plans(options: dict[str, Any]) -> list[Plan]:
    """One plan a scheme, checked."""
    from edgefer.workstation.qat import QatSettings
    from edgefer.workstation.quantization import Plan
    from edgefer.workstation.recipe import Recipe
    from edgefer.workstation.summary import Gates

    recipe: dict[str, Any] = {name: value for name in RECIPE if (value := options.pop(name)) is not None}
    per_channel, bias_correction = not options.pop("per_tensor"), not options.pop("no_bias_correction")
    float_layers = tuple(options.pop("skip_layer"))
    made = Recipe(**recipe, per_channel=per_channel, bias_correction=bias_correction, float_layers=float_layers)
    gates = Gates(*(options.pop(name) for name in GATES))
    tuning = {name.removeprefix("qat_"): value for name in QAT if (value := options.pop(name)) is not None}
    shared = {name: options.pop(name) for name in ("target", "auto", "set_name", "size", "seed")}
    shared |= {name: options.pop(name) for name in ("stability", "debug_layers")}
    qat = QatSettings(**tuning) if tuning else None
    schemes = _schemes(shared["auto"], options)
    if tuning and not shared["auto"] and not any(catalogue.load(SCHEMES, each).NEEDS_TRAINING for each in schemes):
        flag = next(f"--{name.replace('_', '-')}" for name in QAT if name.removeprefix("qat_") in tuning)
        raise UsageError(f"{flag} with {schemes[0]}", why="it is not trained", fix="edgefer quantize --int8-qat")
    plans = [Plan(each, recipe=made, gates=gates, qat=qat, **shared) for each in schemes]
    for plan in plans:
        plan.check()
    return plans


def _schemes(auto: bool, options: dict[str, Any]) -> list[str]:
    scheme, every = options.pop("scheme"), options.pop("every")
    named = [name for name, given in options.items() if given]
    named += [scheme] * bool(scheme) + ["--all"] * every + ["--auto"] * auto
    if len(named) != 1:
        raise UsageError(f"{len(named)} schemes were named", why="one is needed", fix="edgefer quantize --int8")
    return list(catalogue.names(SCHEMES)) if every else ["int8"] if auto else named


def _console() -> Console:
    from edgefer.progress import shown
    from edgefer.workstation.quantization import Console

    return Console(say=say, shown=shown, bench=_bench)


def _bench(path: Path) -> Measurement:
    from edgefer.measurement import BenchRequest

    measured: Measurement = catalogue.load("edgefer.devices", "local").run(
        BenchRequest(model=str(path), minimum_seconds=1.0)
    )
    return measured


for _name in catalogue.names(SCHEMES):
    _flag, _help = f"--{_name.replace('_', '-')}", f"Short for --scheme {_name}."
    command.params.append(click.Option([_flag, _name], is_flag=True, help=_help))
