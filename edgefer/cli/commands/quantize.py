"""Convert a trained run to a .tflite."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer import plugins
from edgefer.cli.data_options import DataOptions, data_options, open_run_data
from edgefer.cli.foreign import FeedOptions, feed_options, import_network
from edgefer.cli.options import PATH, FiniteRange, log, log_ignored_settings, option_group
from edgefer.cli.outputs import check_output
from edgefer.cli.streams import write
from edgefer.errors import DataError, EdgeferError, Interrupted, ThresholdNotMet, UsageError
from edgefer.file_kinds import RUN, TFLITE, command_for, describe_kind
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.data.dataset import Dataset
    from edgefer.results.measurement import Measurement
    from edgefer.results.quantization import Quantization
    from edgefer.workstation.importing.network import ImportedNetwork
    from edgefer.workstation.training.run import Run
    from edgefer.workstation.workflows.quantize_plan import Console, QuantizationPlan

NEEDS_WORKSTATION = True

SCHEMES = "edgefer.workstation.quantization.schemes"
# Full int8 schemes first.
SCHEME_NAMES = sorted(plugins.names(SCHEMES), key=lambda name: (not name.startswith("int8"), name))


class SchemeFlag(click.Option):
    """--NAME for --scheme NAME; its help text is the description of the scheme."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the flag and the description of the scheme."""
        description: str = plugins.read_constant(SCHEMES, str(self.name), "DESCRIPTION")
        return self.opts[0], f"{description[0].upper()}{description[1:]}."


def scheme_flags(callback: Callable[..., Result]) -> Callable[..., Result]:
    """Add a flag per scheme; the command receives the names of those that are set as ``flagged``."""

    @functools.wraps(callback)
    def collected(*args: Any, **values: Any) -> Result:
        flagged = tuple(name for name in SCHEME_NAMES if values.pop(name))
        return callback(*args, flagged=flagged, **values)

    decorated: Callable[..., Result] = collected
    for name in reversed(SCHEME_NAMES):
        flag = click.option(f"--{name.replace('_', '-')}", name, cls=SchemeFlag, is_flag=True, help="A scheme.")
        decorated = flag(decorated)
    return decorated


@dataclass(frozen=True)
class SchemeOptions:
    """Selection of schemes other than by flag.

    Attributes:
        scheme: name of one scheme, or None.
        all_schemes: select every scheme.
        auto: search for int8 options that satisfy --max-drop.
    """

    scheme: str | None
    all_schemes: bool
    auto: bool


@dataclass(frozen=True)
class CalibrationOptions:
    """Faces for calibration; None takes the default.

    Attributes:
        set_name: calibration set, by name or path.
        size: number of faces to draw from Training.
        seed: random seed of the draw.
        trials: number of disjoint sets to compare.
    """

    set_name: str | None
    size: int | None
    seed: int | None
    trials: int | None


@dataclass(frozen=True)
class ArithmeticOptions:
    """Numeric options of a scheme; None keeps the scheme's default."""

    io: str | None
    calibration_method: str | None
    rounding: str | None
    no_bias_correction: bool
    no_bit_exact: bool
    per_tensor: bool
    keep_float: tuple[str, ...]


@dataclass(frozen=True)
class QatOptions:
    """Options of quantization-aware training; None keeps the default."""

    qat_epochs: int | None
    qat_learning_rate: float | None
    distill_weight: float | None


@dataclass(frozen=True)
class ThresholdOptions:
    """Conditions that the result must meet; None disables a condition."""

    max_drop: float | None
    min_accuracy: float | None
    max_bytes: int | None


scheme_options = option_group(
    "selection",
    SchemeOptions,
    click.option("--scheme", metavar="NAME", help=f"Select a scheme by name: {', '.join(SCHEME_NAMES)}."),
    click.option("--all", "all_schemes", is_flag=True, help="Quantize with every scheme and print one table."),
    click.option(
        "--auto", is_flag=True, help="Search int8 options that satisfy --max-drop; use int8_qat if none do."
    ),
)  # fmt: skip
calibration_options = option_group(
    "calibration",
    CalibrationOptions,
    click.option(
        "--calibration", "set_name", metavar="SET",
        help="Calibration set: a .csv from edgefer calibrate, fer2013-500 or fer2013-210.  "
        "[default: fer2013-500 for FER2013, else faces drawn from Training]",
    ),
    click.option(
        "--calibration-size", "size", type=click.IntRange(1), metavar="N",
        help="Draw N faces from Training instead.  [default: 500]",
    ),
    click.option("--seed", type=click.IntRange(0), metavar="N", help="Random seed of the draw.  [default: 0]"),
    click.option(
        "--calibration-trials", "trials", type=click.IntRange(2), metavar="K",
        help="Also quantize with K disjoint calibration sets, and report the spread of the scores.",
    ),
)  # fmt: skip
arithmetic_options = option_group(
    "arithmetic",
    ArithmeticOptions,
    click.option("--io", metavar="DTYPE", help="Input and output: int8, uint8 or float32.  [default: by scheme]"),
    click.option(
        "--calibration-method", metavar="METHOD",
        help="percentile, min-max or moving-average.  [default: percentile]",
    ),
    click.option(
        "--rounding", type=click.Choice(["gptq", "nearest"]), metavar="METHOD",
        help="Weight rounding: gptq or nearest.  [default: gptq]",
    ),
    click.option("--no-bias-correction", is_flag=True, help="Do not correct biases for the mean rounding error."),
    click.option(
        "--no-bit-exact", is_flag=True,
        help="Use all 8 bits of the weights, and accept that kernels round some outputs differently.",
    ),
    click.option("--per-tensor", is_flag=True, help="One weight scale per tensor instead of per output channel."),
    click.option(
        "--keep-float", multiple=True, metavar="REGEX", help="Keep matching layers in float; may be repeated."
    ),
)  # fmt: skip
qat_options = option_group(
    "qat",
    QatOptions,
    click.option("--qat-epochs", type=click.IntRange(1), metavar="N", help="Epochs of int8_qat.  [default: 3]"),
    click.option(
        "--qat-learning-rate", type=FiniteRange(0), metavar="RATE",
        help="Peak learning rate of int8_qat.  [default: 0.0001]",
    ),
    click.option(
        "--distill-weight", type=FiniteRange(0, 1), metavar="SHARE",
        help="Share of the int8_qat loss from the logits of the float network; the labels give the rest.  [default: 1]",
    ),
)  # fmt: skip
threshold_options = option_group(
    "thresholds",
    ThresholdOptions,
    click.option(
        "--max-drop", type=FiniteRange(-100, 100), metavar="POINTS",
        help="Exit code 3 if accuracy drops by more percentage points.  [default: 0.3 with --auto, else none]",
    ),
    click.option(
        "--min-accuracy", type=FiniteRange(0, 100), metavar="PERCENT", help="Exit code 3 if accuracy is lower."
    ),
    click.option("--max-bytes", type=click.IntRange(1), metavar="N", help="Exit code 3 if the file is larger."),
)  # fmt: skip


@click.command()
@click.argument("subject", metavar="[RUN|MODEL]", required=False, type=PATH)
@scheme_flags
@scheme_options
@data_options
@feed_options
@click.option("--trust", is_flag=True, help="Load a MODEL that could run code of its author.")
@calibration_options
@click.option("--target", metavar="NAME", help="Require a model for litert, tflite-runtime, edgetpu or tflm.")
@arithmetic_options
@qat_options
@click.option("--debug-layers", is_flag=True, help="Report the error of each layer, and the most sensitive layers.")
@threshold_options
def command(
    subject: Path | None, flagged: tuple[str, ...], selection: SchemeOptions, data: DataOptions, feed: FeedOptions,
    trust: bool, calibration: CalibrationOptions, target: str | None, arithmetic: ArithmeticOptions, qat: QatOptions,
    debug_layers: bool, thresholds: ThresholdOptions,
) -> Result:  # fmt: skip
    """Convert a trained RUN (default: the newest) to a .tflite that carries its contract.

    MODEL, a Keras model, SavedModel or ONNX file from another program, is imported first, as by edgefer import.

    Select one scheme; --int8 is a good start. All other options have defaults. The .tflite is written to the run folder
    and compared with its float network, image by image. Beside it, .flips.csv lists each image whose label changed, and
    .flips.png shows the first 50.

    \b
    Example:
        edgefer quantize --int8
        edgefer quantize my_model.h5 --int8 --data my_faces/
        edgefer quantize --int8 runs/latest --max-drop 0.5
        edgefer quantize --all
        edgefer quantize --int8 --debug-layers
        edgefer quantize --auto --max-drop 0.3
        edgefer quantize --int8-qat --qat-epochs 8
        edgefer quantize --int8 --target tflm
        edgefer quantize --int8 --calibration my-set.csv --calibration-trials 5
    """
    from edgefer.workstation.training.keras_inference import load_trained

    schemes = _select_schemes(flagged, selection)
    shared = _make_plan(schemes[0], calibration, target, arithmetic, qat, thresholds)
    plans = [replace(shared, scheme=scheme, auto=selection.auto, debug_layers=debug_layers) for scheme in schemes]
    if selection.all_schemes:
        plans = [plan.without_unused_set() for plan in plans]
    if not selection.auto:
        _check_qat(schemes, qat)
    for plan in plans:
        plan.check()
    if not selection.all_schemes and shared.unused_options():
        log(f"{shared.scheme} does not use calibration; ignored: {', '.join(shared.unused_options())}")
    trains = len(schemes) == 1 and plugins.load(SCHEMES, schemes[0]).NEEDS_TRAINING
    run, origin = _open_run(subject, data, feed, trust=trust, trains=trains)
    run.require_weights()
    log_ignored_settings()
    log(f"run: {run.folder} ({origin}); {run.progress_note()}")
    check_output("the run folder", run.folder, is_folder=True)
    network = load_trained(run, backend="tensorflow")
    plans = _supported(run, plans)
    quantizations, failure = _quantize(run, open_run_data(run, data), plans, network)
    return _result(run, quantizations, failure, is_table=selection.all_schemes)


def _open_run(
    subject: Path | None, data: DataOptions, feed: FeedOptions, *, trust: bool, trains: bool
) -> tuple[Run, str]:
    """Return the run, or a new run with a model from another program, and why this run.

    If a scheme ``trains``, a model with a layer that does not support it is refused before the data set is read.
    """
    from edgefer.report.terminal.model_import import import_text
    from edgefer.workstation.importing.network import find_format
    from edgefer.workstation.training.run import find_run

    if subject is not None and describe_kind(subject) != RUN and find_format(subject) is not None:
        check = functools.partial(_require_supported, name=str(subject)) if trains else None
        record, run = import_network(subject, data, feed, trust=trust, check=check)
        write(f"{import_text(record)}\n", to_stderr=True)
        return run, "new"
    if subject is not None and describe_kind(subject) == TFLITE:
        why = "a .tflite is converted already; expected a run, a Keras model, a SavedModel or an ONNX file"
        hint = f"quantize the run or the model that it was converted from, or {command_for(subject)}"
        raise DataError(f"cannot quantize {subject}", why=why, hint=hint)
    feed.refuse_for_run()
    run = find_run(subject)
    if trust:
        why = "it loads a model from another program that could run code"
        raise UsageError("--trust with a run", why=why, hint="omit --trust")
    return run, "as named" if subject else "the newest"


def _require_supported(network: ImportedNetwork, *, name: str) -> None:
    from edgefer.workstation.quantization.qat.finetune import require_supported_file

    require_supported_file(network.keras, name=name)


def _supported(run: Run, plans: list[QuantizationPlan]) -> list[QuantizationPlan]:
    """Return the plans whose scheme supports the network, and log the others.

    Raises:
        UsageError: the scheme of a single plan does not support the network.
        DataError: the calibration set cannot be read.
    """
    supported = []
    for plan in plans:
        try:
            plan.check_run(run)
        except UsageError as error:
            if len(plans) == 1:
                raise
            log(f"{plan.scheme} is omitted: {error.what}: {error.why}")
        else:
            supported.append(plan)
    return supported


def _quantize(
    run: Run, dataset: Dataset, plans: list[QuantizationPlan], network: Any
) -> tuple[list[Quantization], EdgeferError | None]:
    """Quantize with each plan, also after one has failed, until an interruption.

    Returns:
        The quantizations, at least one, and the first failure, or None.

    Raises:
        EdgeferError: no plan succeeded.
    """
    from edgefer.workstation.workflows.quantize_plan import run_quantization

    quantizations: list[Quantization] = []
    failures: list[EdgeferError] = []
    for plan in plans:
        try:
            quantizations.append(run_quantization(run, dataset, plan, _console(), network))
        except EdgeferError as error:
            if len(plans) == 1:
                raise
            log(f"{plan.scheme} failed: {error.what}{f': {error.why}' if error.why else ''}")
            failures.append(error)
        except KeyboardInterrupt as interrupt:
            if not quantizations:
                raise
            return quantizations, Interrupted.from_exception(interrupt)
    if not quantizations:
        raise failures[0]
    return quantizations, failures[0] if failures else None


def _result(run: Run, quantizations: list[Quantization], failure: EdgeferError | None, *, is_table: bool) -> Result:
    """Return a record and a text for all quantizations; save() writes the cards.

    Without a ``failure``, that of the result is the first missed threshold.
    """
    from edgefer.report.terminal.quantization import quantization_text, quantizations_text
    from edgefer.results import schema

    failure = failure or next((_threshold_error(each) for each in quantizations if each.missed_thresholds), None)
    save = functools.partial(_write_cards, run, quantizations)
    if not is_table:
        (quantization,) = quantizations
        return Result(quantization.to_json(), quantization_text(quantization), failure, save)
    record = {**schema.header("quantizations", 1), "quantizations": [each.to_json() for each in quantizations]}
    return Result(record, quantizations_text(quantizations), failure, save)


def _write_cards(run: Run, quantizations: list[Quantization]) -> str:
    from edgefer import files
    from edgefer.report.model_card import card
    from edgefer.report.model_card_data import ModelCardData

    for quantization in quantizations:
        text = card(ModelCardData.of(quantization), run=f"runs/{run.folder.resolve().name}")
        files.write_text(Path(quantization.path).with_suffix(".card.md"), text)
    return ""


def _threshold_error(quantization: Quantization) -> ThresholdNotMet:
    return ThresholdNotMet(
        "; ".join(quantization.missed_thresholds),
        why=f"{quantization.path} was written",
        hint="loosen the threshold, or: edgefer quantize --auto",
    )


def _select_schemes(flagged: tuple[str, ...], selection: SchemeOptions) -> list[str]:
    selected = [*flagged, *([selection.scheme] if selection.scheme else [])]
    count = len(selected) + selection.all_schemes + selection.auto
    if count != 1:
        what = f"{count} schemes selected" if count else "no scheme selected"
        raise UsageError(what, why="expected exactly one", hint="edgefer quantize --int8")
    if selection.all_schemes:
        return list(plugins.names(SCHEMES))
    return ["int8"] if selection.auto else selected


def _make_plan(
    scheme: str, calibration: CalibrationOptions, target: str | None, arithmetic: ArithmeticOptions, qat: QatOptions,
    thresholds: ThresholdOptions,
) -> QuantizationPlan:  # fmt: skip
    from edgefer.workstation.quantization.options import QuantizationOptions
    from edgefer.workstation.quantization.qat.finetune import QatSettings
    from edgefer.workstation.workflows.quantization_record import Thresholds
    from edgefer.workstation.workflows.quantize_plan import QuantizationPlan

    numeric = _given(io=arithmetic.io, calibration_method=arithmetic.calibration_method, rounding=arithmetic.rounding)
    options = QuantizationOptions(
        **numeric,
        per_channel=not arithmetic.per_tensor,
        bias_correction=not arithmetic.no_bias_correction,
        bit_exact=not arithmetic.no_bit_exact,
        float_layers=arithmetic.keep_float,
    )
    training = _given(epochs=qat.qat_epochs, learning_rate=qat.qat_learning_rate, distill=qat.distill_weight)
    return QuantizationPlan(
        scheme,
        options=options,
        target=target,
        set_name=calibration.set_name,
        size=calibration.size,
        seed=calibration.seed,
        trials=calibration.trials,
        qat=QatSettings(**training) if training else None,
        thresholds=Thresholds(thresholds.max_drop, thresholds.min_accuracy, thresholds.max_bytes),
    )


def _given(**values: Any) -> dict[str, Any]:
    """Return the values that are set, so that the callee's defaults apply to the others."""
    return {name: value for name, value in values.items() if value is not None}


def _check_qat(schemes: list[str], qat: QatOptions) -> None:
    """Raise UsageError if a training option is set and no scheme trains."""
    flags = {
        "--qat-epochs": qat.qat_epochs,
        "--qat-learning-rate": qat.qat_learning_rate,
        "--distill-weight": qat.distill_weight,
    }
    flag = next((name for name, value in flags.items() if value is not None), None)
    if flag and not any(plugins.load(SCHEMES, scheme).NEEDS_TRAINING for scheme in schemes):
        why = "this scheme does not train"
        raise UsageError(f"{flag} with {schemes[0]}", why=why, hint="edgefer quantize --int8-qat")


def _console() -> Console:
    from edgefer.progress import progress_bar
    from edgefer.workstation.workflows.quantize_plan import Console

    return Console(log=log, show_progress=progress_bar, benchmark=_benchmark)


def _benchmark(path: Path) -> Measurement:
    from edgefer.benchmark.isolation import measure_in_subprocess
    from edgefer.results.measurement import BenchRequest

    return measure_in_subprocess(BenchRequest(model=str(path), minimum_seconds=1.0))
