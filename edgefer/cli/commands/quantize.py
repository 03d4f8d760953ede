"""edgefer quantize"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer import plugins
from edgefer.cli.options import PATH, Command, data_options, open_data_of, say
from edgefer.errors import UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.results.measurement import Measurement
    from edgefer.workstation.workflows.quantize_plan import Console, QuantizationPlan

SCHEMES = "edgefer.workstation.quantization.schemes"
# Those that compute in int8 first.
NAMES = sorted(plugins.names(SCHEMES), key=lambda name: (not name.startswith("int8"), name))
DATA = ("data", "ferplus", "skip_bad_rows")
RECIPE = ("io", "ranges", "rounding")
GATES = ("max_drop", "min_accuracy", "max_bytes")
QAT = ("qat_epochs", "qat_learning_rate", "distill")


class SchemeFlag(click.Option):
    """--NAME for --scheme NAME; its help is what the scheme says of itself, read when somebody asks for it."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """The flag and a sentence."""
        description: str = plugins.load(SCHEMES, str(self.name)).DESCRIPTION
        return self.opts[0], f"{description[0].upper()}{description[1:]}."


def scheme_flags(command: Command) -> Command:
    """A flag for each scheme."""
    for name in reversed(NAMES):
        flag = click.option(f"--{name.replace('_', '-')}", name, cls=SchemeFlag, is_flag=True, help="A scheme.")
        command = flag(command)
    return command


# The order of the options is that of --help: what to make, from which data, calibrated with what, by which arithmetic,
# trained on how, judged by what.

NEEDS_WORKSTATION = True


@click.command(short_help="Turn a trained run into a .tflite.")
@click.argument("run_folder", metavar="[RUN]", required=False, type=PATH)
@scheme_flags
@click.option("--scheme", metavar="NAME", help=f"The same by name: {', '.join(NAMES)}.")
@click.option("--all", "every", is_flag=True, help="Each scheme, in one table.")
@click.option(
    "--auto", is_flag=True, help="Int8 by the first recipe that keeps --max-drop; int8_qat where none keeps it."
)
@data_options
@click.option(
    "--calibration",
    "set_name",
    metavar="SET",
    help="The faces that set int8 ranges: a .csv of edgefer calibrate, fer2013-500 or fer2013-210.  "
    "[default: fer2013-500 if the data are FER2013, else drawn from Training]",
)
@click.option(
    "--calibration-size",
    "size",
    type=click.IntRange(1),
    metavar="N",
    help="Draw N faces from Training instead.  [default: 500]",
)
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Which faces such a draw takes.  [default: 0]")
@click.option(
    "--calibration-trials", "stability",
    type=click.IntRange(2),
    metavar="K",
    help="Also convert with K disjoint sets of faces, and tell how far the scores spread.",
)
@click.option("--target", metavar="NAME", help="Refuse what cannot run on litert, tflite-runtime, edgetpu or tflm.")
@click.option("--io", metavar="DTYPE", help="Of input and output: int8, uint8 or float32.  [default: as the scheme]")
@click.option("--calibration-method", "ranges", metavar="METHOD", help="percentile, min-max or moving-average.  [default: percentile]")
@click.option("--rounding", metavar="METHOD", help="Of weights: second-order or nearest.  [default: second-order]")
@click.option("--no-bias-correction", is_flag=True, help="Leave in the mean error that rounded weights cause.")
@click.option("--per-tensor", is_flag=True, help="One scale for a layer's weights, not one for each output channel.")
@click.option("--keep-float", "skip_layer", multiple=True, metavar="REGEX", help="Keep such layers in float; may be repeated.")
@click.option("--qat-epochs", type=click.IntRange(1), metavar="N", help="How long int8_qat trains on.  [default: 3]")
@click.option("--qat-learning-rate", type=float, metavar="RATE", help="Its highest in int8_qat.  [default: 0.0001]")
@click.option(
    "--distill-weight", "distill",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="How much int8_qat learns from its float parent's answers; the rest is from the labels.  [default: 1]",
)
@click.option("--debug-layers", is_flag=True, help="Say which layer loses how much, and which ones are to blame.")
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="Exit code 3 if more accuracy is lost against the float parent.  [default: 0.3 with --auto, else none]",
)
@click.option("--min-accuracy", type=float, metavar="PERCENT", help="Exit code 3 if accuracy is lower.")
@click.option("--max-bytes", type=click.IntRange(1), metavar="N", help="Exit code 3 if the file is larger.")
def command(run_folder: Path | None, **options: Any) -> Result:
    """Turn a trained RUN (default: the newest) into a .tflite that carries its contract.

    One scheme has to be named; begin with --int8. Everything else has a default. The .tflite is written into the run
    folder and compared with its float parent, image by image: .flips.csv beside it lists each image whose label
    changed, .flips.png shows the first 50.

    \b
    Example:
        edgefer quantize --int8
        edgefer quantize --int8 runs/latest --max-drop 0.5
        edgefer quantize --all
        edgefer quantize --int8 --debug-layers
        edgefer quantize --auto --max-drop 0.3
        edgefer quantize --int8-qat --qat-epochs 8
        edgefer quantize --int8 --target tflm
        edgefer quantize --int8 --calibration my-set.csv --calibration-trials 5
    """
    from edgefer.workstation.training.run import find_run
    from edgefer.workstation.workflows.quantize_plan import run_quantization
    from edgefer.workstation.workflows.summary import combine_results

    data = {name: options.pop(name) for name in DATA}
    plans = _plans(options)
    run = find_run(run_folder)
    run.require_weights()
    say(f"run: {run.folder} ({'as named' if run_folder else 'the newest'}); {run.progress_note()}")
    for plan in plans:
        plan.check_run(run)
    dataset = open_data_of(run, **data)
    results = [run_quantization(run, dataset, plan, _console()) for plan in plans]
    return results[0] if len(results) == 1 else combine_results(results)


def _plans(options: dict[str, Any]) -> list[QuantizationPlan]:
    """One plan a scheme, checked."""
    from edgefer.workstation.quantization.options import QuantizationOptions
    from edgefer.workstation.quantization.qat.finetune import QatSettings
    from edgefer.workstation.workflows.quantize_plan import QuantizationPlan
    from edgefer.workstation.workflows.summary import Gates

    recipe: dict[str, Any] = {name: value for name in RECIPE if (value := options.pop(name)) is not None}
    per_channel, bias_correction = not options.pop("per_tensor"), not options.pop("no_bias_correction")
    float_layers = tuple(options.pop("skip_layer"))
    recipe["rounding"] = {"gptq": "second-order"}.get(recipe.get("rounding", "second-order"), recipe.get("rounding", "second-order"))
    made = QuantizationOptions(**recipe, per_channel=per_channel, bias_correction=bias_correction, float_layers=float_layers)
    gates = Gates(*(options.pop(name) for name in GATES))
    tuning = {name.removeprefix("qat_"): value for name in QAT if (value := options.pop(name)) is not None}
    shared = {name: options.pop(name) for name in ("target", "auto", "set_name", "size", "seed")}
    shared |= {name: options.pop(name) for name in ("stability", "debug_layers")}
    qat = QatSettings(**tuning) if tuning else None
    schemes = _schemes(shared["auto"], options)
    if tuning and not shared["auto"] and not any(plugins.load(SCHEMES, each).NEEDS_TRAINING for each in schemes):
        flag = next(f"--{name.replace('_', '-')}" for name in QAT if name.removeprefix("qat_") in tuning)
        raise UsageError(f"{flag} with {schemes[0]}", why="it is not trained", hint="edgefer quantize --int8-qat")
    plans = [QuantizationPlan(each, recipe=made, gates=gates, qat=qat, **shared) for each in schemes]
    for plan in plans:
        plan.check()
    return plans


def _schemes(auto: bool, options: dict[str, Any]) -> list[str]:
    scheme, every = options.pop("scheme"), options.pop("every")
    named = [name for name, given in options.items() if given]
    named += [scheme] * bool(scheme) + ["--all"] * every + ["--auto"] * auto
    if len(named) != 1:
        raise UsageError(f"{len(named)} schemes were named", why="one is needed", hint="edgefer quantize --int8")
    return list(plugins.names(SCHEMES)) if every else ["int8"] if auto else named


def _console() -> Console:
    from edgefer.progress import shown
    from edgefer.workstation.workflows.quantize_plan import Console

    return Console(say=say, shown=shown, bench=_bench)


def _bench(path: Path) -> Measurement:
    from edgefer.benchmark.isolation import measure_in_subprocess
    from edgefer.results.measurement import BenchRequest

    return measure_in_subprocess(BenchRequest(model=str(path), minimum_seconds=1.0))
