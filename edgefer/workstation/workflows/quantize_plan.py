"""Run one quantization, from the selection of its calibration faces to its record: ``edgefer quantize``.

    plan = QuantizationPlan("int8", options=QuantizationOptions(io="uint8"), thresholds=Thresholds(max_drop_points=0.5))
    plan.check()                                    # rejects contradictory options before anything is read
    quantization = run_quantization(run, dataset, plan, console)
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer import plugins
from edgefer.data.dataset import Dataset
from edgefer.data.naming import counted
from edgefer.errors import UsageError
from edgefer.progress import Progress
from edgefer.results.accuracy_search import AccuracySearch, Candidate
from edgefer.results.measurement import Measurement
from edgefer.results.quantization import Quantization
from edgefer.workstation.quantization.calibration_data import DrawnFaces, draw_faces
from edgefer.workstation.quantization.calibration_set import CalibrationSet, check_set, find_set
from edgefer.workstation.quantization.options import DEFAULTS, QuantizationOptions, check_options, for_target
from edgefer.workstation.quantization.qat.finetune import QatSettings, require_supported
from edgefer.workstation.quantization.sensitivity import layer_errors, sensitive_layers
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.validation import drop_validation
from edgefer.workstation.workflows.accuracy_search import METHOD_SETS, SearchResult, make_candidate, search
from edgefer.workstation.workflows.calibration_stability import CalibrationTrials, measure_stability
from edgefer.workstation.workflows.quantization_context import SCHEMES, SENSITIVITY_FACES, QuantizationContext
from edgefer.workstation.workflows.quantization_files import (
    layer_record,
    remove_derived_files,
    write_label_changes,
    write_layers,
)
from edgefer.workstation.workflows.quantization_record import NO_THRESHOLDS, Thresholds, make_record
from edgefer.workstation.workflows.quantize import Quantized, quantize

__all__ = ["Console", "QuantizationPlan", "run_quantization"]

AUTO_MAX_DROP_POINTS = 0.3


@dataclass(frozen=True)
class Console:
    """Messages, progress and benchmarks of a long workflow.

    Attributes:
        log: print one line.
        show_progress: open a progress display with a title.
        benchmark: measure the latency of a model file, for about one second.
    """

    log: Callable[[str], None]
    show_progress: Callable[[str], contextlib.AbstractContextManager[Progress]]
    benchmark: Callable[[Path], Measurement]


@dataclass(frozen=True)
class QuantizationPlan:
    """Everything that a quantization does.

    Attributes:
        scheme: name of a scheme plugin.
        options: numeric options.
        target: require a model that runs there, or None.
        auto: search for options within ``thresholds``, and train with fake quantization if none are.
        set_name: calibration set by name or path, or None.
        size, seed: draw this many faces with this seed instead of a calibration set; None uses the default.
        trials: number of disjoint calibration sets to compare, or None.
        debug_layers: report the error of each layer.
        qat: settings of a scheme that trains; None uses the defaults.
        thresholds: conditions that the model must meet.
    """

    scheme: str
    options: QuantizationOptions = DEFAULTS
    target: str | None = None
    auto: bool = False
    set_name: str | None = None
    size: int | None = None
    seed: int | None = None
    trials: int | None = None
    debug_layers: bool = False
    qat: QatSettings | None = None
    thresholds: Thresholds = NO_THRESHOLDS

    def check(self) -> None:
        """Raise UsageError if options contradict each other."""
        scheme = plugins.load(SCHEMES, self.scheme)
        check_options(self.options, scheme=self.scheme, supported=scheme.SUPPORTED_OPTIONS)
        for_target(self.options, self.target)
        if self.set_name and (self.size is not None or self.seed is not None):
            flag = "--calibration-size" if self.size is not None else "--seed"
            why = "a calibration set defines its faces"
            raise UsageError(f"--calibration with {flag}", why=why, hint=f"omit {flag}")
        for flag, value in (("--calibration", self.set_name), ("--calibration-trials", self.trials)):
            if value and not scheme.NEEDS_CALIBRATION:
                why = f"{self.scheme} does not use calibration"
                raise UsageError(f"{flag} with {self.scheme}", why=why, hint="edgefer quantize --int8")
        if self.trials and scheme.NEEDS_TRAINING:
            why = "each calibration set would need its own training"
            hint = "edgefer quantize --int8 --calibration-trials 5"
            raise UsageError(f"--calibration-trials with {self.scheme}", why=why, hint=hint)
        if self.auto and "calibration_method" in self.options.overrides():
            why = "the search compares the calibration methods"
            raise UsageError("--calibration-method with --auto", why=why, hint="omit --calibration-method")
        if self.debug_layers and not scheme.NEEDS_CALIBRATION:
            why, hint = f"{self.scheme} has float activations", "edgefer quantize --int8 --debug-layers"
            raise UsageError(f"--debug-layers with {self.scheme}", why=why, hint=hint)

    def without_unused_set(self) -> QuantizationPlan:
        """Return the plan without its calibration set if the scheme uses none."""
        is_used = plugins.load(SCHEMES, self.scheme).NEEDS_CALIBRATION
        return self if is_used else dataclasses.replace(self, set_name=None)

    def unused_options(self) -> list[str]:
        """Return the options that draw calibration faces which the scheme does not use."""
        if plugins.load(SCHEMES, self.scheme).NEEDS_CALIBRATION:
            return []
        options = {"--calibration-size": self.size, "--seed": self.seed}
        return [name for name, value in options.items() if value is not None]

    def check_run(self, run: Run) -> None:
        """Check that the scheme can quantize ``run``, before the data are read.

        Raises:
            UsageError: the scheme does not support the network.
            DataError: the calibration set cannot be read.
        """
        if self.set_name is not None:
            check_set(self.set_name)
        if plugins.load(SCHEMES, self.scheme).NEEDS_TRAINING:
            require_supported(run)

    @property
    def max_drop_points(self) -> float:
        """Bound of the search."""
        bound = self.thresholds.max_drop_points
        return AUTO_MAX_DROP_POINTS if bound is None else bound


def run_quantization(
    run: Run, dataset: Dataset, plan: QuantizationPlan, console: Console, network: Any | None = None
) -> Quantization:
    """Quantize a run, write the artifact and its files to the run folder, and return the record.

    A model that misses a threshold is written too; ``missed_thresholds`` of the record names the threshold.

    Args:
        run: trained or imported run.
        dataset: data set of the run.
        plan: everything that the quantization does.
        console: messages, progress and the benchmark.
        network: the loaded Keras network of a trained run; loaded if omitted.
    """
    scheme = plugins.load(SCHEMES, plan.scheme)
    if scheme.NEEDS_TRAINING:
        epochs = (plan.qat or QatSettings()).epochs
        console.log(f"{plan.scheme} trains for {counted(epochs, 'epoch')}, which takes minutes on FER2013")
    context = QuantizationContext(run, dataset, model=network)
    if scheme.NEEDS_CALIBRATION:
        context.calibration = _select_calibration(context, plan, console)
    # Before anything slow: Training may be too small for the sets.
    trials = _select_trials(context, plan)
    result = None
    if plan.auto and trials:
        with console.show_progress("searching") as progress:
            result = search(
                context, trials, base=for_target(plan.options, plan.target), max_drop_points=plan.max_drop_points,
                progress=progress,
            )  # fmt: skip
        plan = _apply_search(run, plan, result, console)
    console.log(f"scheme: {plan.scheme}, {plugins.load(SCHEMES, plan.scheme).DESCRIPTION}")
    with console.show_progress("quantizing") as progress:
        quantized = quantize(
            context, plan.scheme, options=plan.options, target=plan.target, qat=plan.qat, progress=progress
        )
    path = run.artifact(plan.scheme)
    quantized.artifact.save(path)
    remove_derived_files(path)
    write_label_changes(quantized, path)
    console.log("measuring latency for one second")
    measurement = console.benchmark(path)
    stability = None
    if trials and plan.trials:
        with console.show_progress("comparing calibration sets") as progress:
            options = for_target(plan.options, plan.target)
            stability = measure_stability(trials, plan.scheme, options, sets=plan.trials, progress=progress)
    layers, sensitive = _debug_layers(context, quantized, plan, console) if plan.debug_layers else ([], [])
    if layers:
        write_layers(layers, sensitive, path)
    return make_record(
        quantized, path, measurement, thresholds=plan.thresholds, layers=layers, sensitive=sensitive,
        stability=stability, search=_complete_search(result, quantized, plan),
    )  # fmt: skip


def _select_calibration(
    context: QuantizationContext, plan: QuantizationPlan, console: Console
) -> CalibrationSet | DrawnFaces:
    if plan.size is None and plan.seed is None:
        calibration_set = find_set(plan.set_name, drop_validation(context.dataset, context.split))
        if calibration_set is not None:
            console.log(f"calibration: {calibration_set}")
            return calibration_set
    drawn = draw_faces(context.split.training, size=plan.size, seed=plan.seed or 0)
    console.log(f"calibration: {len(drawn.faces):,} faces drawn from Training, seed {drawn.seed}")
    return drawn


def _select_trials(context: QuantizationContext, plan: QuantizationPlan) -> CalibrationTrials | None:
    sets = max(plan.trials or 0, METHOD_SETS if plan.auto else 0)
    return CalibrationTrials(context, context.select_disjoint(sets)) if sets else None


def _apply_search(run: Run, plan: QuantizationPlan, result: SearchResult, console: Console) -> QuantizationPlan:
    """Return the plan with the options that the search selected, or with quantization-aware training.

    If no candidate is within the bound and the network cannot be trained, the most accurate candidate is selected.
    """
    thresholds = dataclasses.replace(plan.thresholds, max_drop_points=plan.max_drop_points)
    if result.options is not None:
        return dataclasses.replace(plan, options=result.options, thresholds=thresholds)
    try:
        require_supported(run)
    except UsageError as error:
        best = _most_accurate(result.record)
        console.log(f"no candidate is within the bound, and {error.what}: {error.why}")
        console.log(f"most accurate candidate: {best.name}")
        return dataclasses.replace(plan, options=QuantizationOptions.from_json(best.options), thresholds=thresholds)
    console.log("no candidate is within the bound; int8_qat trains, which takes minutes on FER2013")
    dropped = [name.replace("_", " ") for name in plan.options.overrides() if name != "io"]
    dropped += ["calibration trials"] if plan.trials else []
    if dropped:
        console.log(f"int8_qat ignores: {', '.join(dropped)}")
    options = QuantizationOptions(io=plan.options.io)
    return dataclasses.replace(plan, scheme="int8_qat", options=options, trials=None, thresholds=thresholds)


def _most_accurate(record: AccuracySearch) -> Candidate:
    """Return the candidate that loses least against the float network, except the plain converter."""
    return max(record.candidates[1:], key=lambda candidate: (candidate.difference_points, candidate.agreement))


def _debug_layers(
    context: QuantizationContext, quantized: Quantized, plan: QuantizationPlan, console: Console
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the record of each layer and the names of the sensitive layers."""
    with console.show_progress("measuring layers") as progress:
        progress(0, 1, "calibrating")
        calibrator = context.calibrated.calibrator
        errors = layer_errors(
            calibrator.model, quantized.artifact.model, context.faces[:SENSITIVITY_FACES], calibrator.spec
        )
        # A single trained layer cannot be restored to float, so its gain is unknown.
        gains: dict[str, float] = {}
        if "float_layers" in plugins.load(SCHEMES, plan.scheme).SUPPORTED_OPTIONS:
            gains = context.sensitivity(for_target(plan.options, plan.target), progress)
    layers = [layer_record(dataclasses.replace(error, gain_db=gains.get(error.layer))) for error in errors]
    return layers, list(sensitive_layers(gains))


def _complete_search(
    result: SearchResult | None, quantized: Quantized, plan: QuantizationPlan
) -> AccuracySearch | None:
    """Return the record of the search, which ends with the selected candidate or the trained model."""
    if result is None or result.options is not None:
        return result.record if result else None
    best = _most_accurate(result.record)
    if plan.scheme == best.scheme:  # the network could not be trained
        others = (candidate for candidate in result.record.candidates if candidate is not best)
        return dataclasses.replace(result.record, candidates=(*others, best))
    trained = make_candidate(
        f"{quantized.artifact.scheme}, trained", quantized.comparison, quantized.artifact.model,
        scheme=quantized.artifact.scheme, max_drop_points=plan.max_drop_points,
    )  # fmt: skip
    return dataclasses.replace(result.record, candidates=(*result.record.candidates, trained))
