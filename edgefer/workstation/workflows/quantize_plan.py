"""One quantization from the choice of its faces to its verdict: what ``edgefer quantize`` does.

    plan = Plan(scheme="int8", recipe=Recipe(io="uint8"), gates=Gates(max_drop_points=0.5))
    plan.check()                                    # what contradicts itself, before anything is read
    result = carry_out(run, dataset, plan, console)
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files, plugins
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import Dataset
from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.errors import UsageError
from edgefer.progress import Progress
from edgefer.report.model_card import card
from edgefer.report.model_card_data import ModelCardData
from edgefer.results.measurement import Measurement
from edgefer.results.quantization import Quantization
from edgefer.text_table import Result
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import Chosen, candidates
from edgefer.workstation.quantization.calibration_set import CalibrationSet, find_set
from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.options import DEFAULTS, QuantizationOptions, check_options, for_target
from edgefer.workstation.quantization.qat.finetune import QatSettings, require_supported
from edgefer.workstation.quantization.sensitivity import layer_errors, sensitivity
from edgefer.workstation.training.keras_inference import keras_logits, load_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.validation import drop_validation, validation_split
from edgefer.workstation.workflows.accuracy_search import SearchResult, search, with_search
from edgefer.workstation.workflows.calibration_stability import stability, with_stability
from edgefer.workstation.workflows.quantize import SCHEMES, Quantized, calibration_for, quantize
from edgefer.workstation.workflows.summary import Gates, summary, with_layers, write_flips

__all__ = ["Console", "QuantizationPlan", "run_quantization"]

SIZE = 500
AUTO_SETS = 3
AUTO_MAX_DROP_POINTS = 0.3
LAYER_FACES = 100
NO_GATES = Gates()


@dataclass(frozen=True)
class Console:
    """How a long piece of work talks to who started it.

    Attributes:
        say: takes a sentence.
        shown: opens a progress display of that title.
        bench: times a model file here, for a second or so.
    """

    say: Callable[[str], None]
    shown: Callable[[str], contextlib.AbstractContextManager[Progress]]
    bench: Callable[[Path], Measurement]


@dataclass(frozen=True)
class QuantizationPlan:
    """What is to be made.

    Attributes:
        scheme: an entry of the catalogue of schemes.
        recipe: how.
        target: where it has to run, or None.
        auto: whether to search for the recipe, and to train where none holds.
        set_name: a calibration set by name or path, or None.
        size, seed: draw so many faces, and these, in place of a set.
        stability: over how many disjoint sets of faces to tell the spread, or None.
        debug_layers: whether to compare each layer with its float parent.
        qat: how a scheme that needs training trains; its defaults where None.
        gates: what the model has to keep to.
    """

    scheme: str
    recipe: QuantizationOptions = DEFAULTS
    target: str | None = None
    auto: bool = False
    set_name: str | None = None
    size: int | None = None
    seed: int | None = None
    stability: int | None = None
    debug_layers: bool = False
    qat: QatSettings | None = None
    gates: Gates = NO_GATES

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: it does.
        """
        module = plugins.load(SCHEMES, self.scheme)
        check_options(self.recipe, scheme=self.scheme, takes=module.TAKES)
        for_target(self.recipe, self.target)
        if self.set_name and (self.size is not None or self.seed is not None):
            flag = "--calibration-size" if self.size is not None else "--seed"
            why = "a calibration set names its faces"
            raise UsageError(f"--calibration with {flag}", why=why, hint=f"leave out {flag}")
        for flag, given in (("--calibration", self.set_name), ("--calibration-trials", self.stability)):
            if given and not module.NEEDS_CALIBRATION:
                why, hint = "it is not calibrated", "edgefer quantize --int8"
                raise UsageError(f"{flag} with {self.scheme}", why=why, hint=hint)
        if self.stability and module.NEEDS_TRAINING:
            why = "the network would be trained anew with each set of faces"
            hint = "edgefer quantize --int8 --calibration-trials 5"
            raise UsageError(f"--calibration-trials with {self.scheme}", why=why, hint=hint)
        if self.auto and "ranges" in self.recipe.told():
            why, hint = "it chooses them by how steady they are", "leave out --calibration-method"
            raise UsageError("--calibration-method with --auto", why=why, hint=hint)
        if self.debug_layers and not module.NEEDS_CALIBRATION:
            why, hint = "its activations are float", "edgefer quantize --int8 --debug-layers"
            raise UsageError(f"--debug-layers with {self.scheme}", why=why, hint=hint)

    def check_run(self, run: Run) -> None:
        """Refuse, before its data are read, a run that the scheme cannot take."""
        if plugins.load(SCHEMES, self.scheme).NEEDS_TRAINING:
            require_supported(run)


def run_quantization(run: Run, dataset: Dataset, plan: QuantizationPlan, console: Console) -> Result:
    """Make, write and judge the artifact, with its model card beside it.

    What a gate refuses is kept, and is the result's failure.
    """
    module = plugins.load(SCHEMES, plan.scheme)
    if module.NEEDS_TRAINING:
        epochs = (plan.qat or QatSettings()).epochs
        spelled = f"{epochs} epoch{'s' * (epochs != 1)}"
        console.say(f"{plan.scheme} trains for {spelled}, which takes minutes on FER2013")
    calibration = _choose_calibration(run, dataset, plan, console) if module.NEEDS_CALIBRATION else {}
    # Before anything is made: there may be too few faces for so many sets.
    sets = _disjoint(run, dataset, sets=plan.stability, **calibration) if plan.stability is not None else []
    found = None
    if plan.auto:
        found = _search(run, dataset, plan, console, calibration)
        plan = _settled(run, plan, found, console)
    console.say(f"scheme: {plan.scheme}, {plugins.load(SCHEMES, plan.scheme).DESCRIPTION}")
    with console.shown("quantizing") as progress:
        quantized = quantize(
            run, plan.scheme, dataset, **calibration, recipe=plan.recipe, target=plan.target, qat=plan.qat,
            progress=progress,
        )  # fmt: skip
    path = run.artifact(plan.scheme)
    quantized.artifact.save(path)
    write_flips(quantized, path)
    console.say("timing it here for a second")
    result = summary(quantized, path, console.bench(path), gates=plan.gates)
    if plan.stability is not None:
        result = _with_stability(result, run, dataset, plan, console, sets)
    if plan.debug_layers:
        result = _with_layers(result, run, dataset, plan, console, calibration, quantized, path)
    told = card(ModelCardData.of(Quantization.from_json(result.record)), run=f"runs/{run.folder.resolve().name}")
    files.write_text(path.with_suffix(".card.md"), told)
    return result if found is None else with_search(result, found, quantized, max_drop_points=_bound(plan))


def _choose_calibration(run: Run, dataset: Dataset, plan: QuantizationPlan, console: Console) -> dict[str, Any]:
    """What quantize() is told about calibration; the user is told too."""
    run.require_data(dataset)
    is_drawn = plan.size is not None or plan.seed is not None
    found = None if is_drawn else find_set(plan.set_name, drop_validation(dataset, run.settings()))
    if found is not None:
        console.say(f"calibration: {found}")
        return {"calibration": found}
    size, seed = plan.size or SIZE, plan.seed or 0
    why = "as asked for" if is_drawn else "no set that ships is of these data"
    console.say(f"calibration: {size:,} faces drawn from Training, seed {seed} ({why})")
    return {"calibration_size": size, "seed": seed}


def _disjoint(
    run: Run, dataset: Dataset, *, sets: int, calibration: CalibrationSet | None = None,
    calibration_size: int = SIZE, seed: int = 0,
) -> list[Chosen]:  # fmt: skip
    size = len(calibration.faces) if calibration else calibration_size
    usable = candidates(drop_validation(dataset, run.settings()))
    return usable.choose_disjoint(sets=sets, size=size, seed=seed)


def _with_stability(
    result: Result, run: Run, dataset: Dataset, plan: QuantizationPlan, console: Console, sets: list[Chosen]
) -> Result:
    recipe = for_target(plan.recipe, plan.target)
    with console.shown("checking stability") as progress:
        found = stability(run, plan.scheme, dataset, sets, recipe=recipe, progress=progress)
    return with_stability(result, found)


def _with_layers(
    result: Result, run: Run, dataset: Dataset, plan: QuantizationPlan, console: Console, calibration: dict[str, Any],
    quantized: Quantized, path: Path,
) -> Result:  # fmt: skip
    faces = _faces(run, dataset, calibration)
    network = load_network(load_keras(backend="tensorflow"), run)
    with console.shown("looking at each layer") as progress:
        progress(0, 1, "calibrating")
        calibrated = Calibrator(convert(network), faces)
        errors = layer_errors(calibrated.model, quantized.artifact.model, faces[:LAYER_FACES])
        # Where a layer cannot stay float by itself, as in what training has made of it, there is nothing to gain.
        gains = (
            sensitivity(calibrated, for_target(plan.recipe, plan.target), faces[:LAYER_FACES], progress=progress)
            if "float_layers" in plugins.load(SCHEMES, plan.scheme).TAKES
            else {}
        )
    told = [dataclasses.replace(error, gain_db=gains.get(error.layer)) for error in errors]
    return with_layers(result, told, path)


def _faces(run: Run, dataset: Dataset, calibration: dict[str, Any]) -> npt.NDArray[np.uint8]:
    settings = run.settings()
    faces, _ = calibration_for(validation_split(dataset, settings)[0], **calibration)
    return prepare_all(faces, settings.input)


def _search(
    run: Run, dataset: Dataset, plan: QuantizationPlan, console: Console, calibration: dict[str, Any]
) -> SearchResult:
    settings = run.settings()
    network = load_network(load_keras(backend="tensorflow"), run)
    _, select, name = validation_split(dataset, settings)
    images = make_evaluation_set(dataset, select, name=name, spec=settings.input)
    with console.shown("searching") as progress:
        sets = _disjoint(run, dataset, sets=AUTO_SETS, **calibration)
        return search(
            network,
            keras_logits(network, images.faces),
            images,
            spec=settings.input,
            faces=_faces(run, dataset, calibration),
            sets=[prepare_all(each.faces, settings.input) for each in sets],
            base=for_target(plan.recipe, plan.target),
            max_drop_points=_bound(plan),
            progress=progress,
        )


def _bound(plan: QuantizationPlan) -> float:
    bound = plan.gates.max_drop_points
    return AUTO_MAX_DROP_POINTS if bound is None else bound


def _settled(run: Run, plan: QuantizationPlan, found: SearchResult, console: Console) -> QuantizationPlan:
    """The plan with what the search has found: a recipe, or training."""
    gates = dataclasses.replace(plan.gates, max_drop_points=_bound(plan))
    if found.recipe is not None:
        return dataclasses.replace(plan, recipe=found.recipe, gates=gates)
    require_supported(run)
    console.say("nothing held without training; int8_qat trains on, which takes minutes on FER2013")
    dropped = [name.replace("_", " ") for name in plan.recipe.told() if name != "io"]
    dropped += ["stability"] if plan.stability else []
    if dropped:
        console.say(f"it takes nothing of what was asked about {', '.join(dropped)}")
    recipe = QuantizationOptions(io=plan.recipe.io)
    return dataclasses.replace(plan, scheme="int8_qat", recipe=recipe, stability=None, gates=gates)
