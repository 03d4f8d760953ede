"""From a run to an artifact: convert by a scheme, score against the float parent, attach the contract.

    quantized = quantize(run, "int8", dataset)
    quantized.artifact.save(run.artifact("int8"))
    quantized.verdict.difference_points, quantized.verdict.p_value
    quantized.confidence.temperature                # what makes the model about as often right as it is sure
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import edgefer
from edgefer import plugins
from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import Dataset, Split
from edgefer.data.evaluation_set import EvaluationSet, make_evaluation_set
from edgefer.data.synthetic import golden_faces
from edgefer.inference.classifier import Classifier
from edgefer.progress import Progress, silent
from edgefer.results.evaluation import Evaluation
from edgefer.results.paired_comparison import LabelChange, PairedComparison, compare, label_changes
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import calibration_faces
from edgefer.workstation.quantization.calibration_set import CalibrationSet
from edgefer.workstation.quantization.options import (
    DEFAULTS,
    QuantizationOptions,
    check_options,
    for_target,
    require_fit,
)
from edgefer.workstation.quantization.qat.finetune import QatSettings, finetune
from edgefer.workstation.quantization.temperature_scaling import TemperatureFit, measure_confidence
from edgefer.workstation.training.keras_inference import bare_artifact, evaluate_logits, keras_logits, load_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.validation import validation_split

__all__ = ["Quantized", "calibration_for", "quantize"]

SCHEMES = "edgefer.workstation.quantization.schemes"
# One of each expression, one very dark and one very bright; each takes 180 bytes of the file.
GOLDEN_COUNT = 9
# Real faces on which the kernels are compared, beside the golden ones, to measure how far apart they may be.
SPREAD_COUNT = 256
STAGES = 4


@dataclass(frozen=True, eq=False)
class Quantized:
    """An artifact with what it costs.

    Attributes:
        artifact: the model and its contract.
        parent: the Keras network on the selection split.
        evaluation: the artifact on the same images.
        verdict: the two compared image by image.
        images: those images.
        flips: which of them get another label than from the parent.
        confidence: the temperature of the contract, which was fitted on the same images.
    """

    artifact: Artifact
    parent: Evaluation
    evaluation: Evaluation
    verdict: PairedComparison
    images: EvaluationSet
    flips: tuple[LabelChange, ...]
    confidence: TemperatureFit


def quantize(
    run: Run,
    scheme: str,
    dataset: Dataset,
    *,
    calibration: CalibrationSet | None = None,
    calibration_size: int = 500,
    seed: int = 0,
    recipe: QuantizationOptions = DEFAULTS,
    target: str | None = None,
    qat: QatSettings | None = None,
    progress: Progress = silent,
) -> Quantized:
    """Make the artifact of ``run`` by ``scheme``, scored on the split that chose the run's best epoch.

    Args:
        scheme: a name from the catalogue of schemes.
        dataset: the data that the run was trained on: its Training calibrates, its selection split scores.
        calibration: the faces that set the ranges, as they were read for this data.
        calibration_size, seed: without such a set, how many Training faces are drawn, and which.
        recipe: what else can be chosen.
        target: where the model has to run, an entry of TARGETS in target.py; None is wherever it can.
        qat: how a scheme that needs training fine-tunes the run; its own defaults where None.

    Raises:
        UsageError: no such scheme, one that does not take what the recipe asks for, or a network that it cannot train.
        DataError: the run has no weights, or was trained on other data.
        IncompatibleError: the model does not run on the target.
    """
    module = plugins.load(SCHEMES, scheme)
    check_options(recipe, scheme=scheme, takes=module.TAKES)
    recipe = for_target(recipe, target)
    settings = run.settings()
    run.require_data(dataset)
    keras = load_keras(backend="tensorflow")
    import tensorflow as tf

    network = load_network(keras, run)
    learn, select, name = validation_split(dataset, settings)
    ranges, told = None, None
    if module.NEEDS_CALIBRATION:
        faces, told = calibration_for(
            learn, calibration=calibration, calibration_size=calibration_size, seed=seed
        )
        ranges = prepare_all(faces, settings.input)
    tuned = None
    if module.NEEDS_TRAINING and ranges is not None:
        tuned = finetune(run, dataset, qat or QatSettings(), calibration=ranges, progress=progress)
    progress(0, STAGES, f"converting {settings.system} to {scheme}")
    flatbuffer = module.convert(tuned.model if tuned else network, calibration=ranges, recipe=recipe)
    if target is not None:
        require_fit(flatbuffer, target)
    progress(1, STAGES, "scoring the float parent")
    images = make_evaluation_set(dataset, select, name=name, spec=settings.input)
    parent_logits = keras_logits(network, images.faces)
    parent = evaluate_logits(parent_logits, images, model=settings.system, subject=run.subject)
    progress(2, STAGES, "recording golden vectors")
    bare = bare_artifact(flatbuffer, settings.input, scheme=scheme)
    bare = _with_golden(bare, prepare_all(learn.pixels[:SPREAD_COUNT], settings.input))
    progress(3, STAGES, f"scoring {scheme}")
    classifier = Classifier.from_artifact(bare)
    logits = classifier.logits(images.faces)
    evaluation = evaluate_logits(logits, images, model=f"{settings.system}-{scheme}", subject=classifier.subject)
    verdict = compare(parent_logits, logits, images.labels, label_names=LABELS)
    confidence = measure_confidence(logits, images.labels)
    provenance = {
        "system": settings.system,
        "edgefer": edgefer.__version__,
        "converter": f"tensorflow {tf.__version__}",
        "data": {"name": dataset.layout, "sha256": dataset.sha256},
        "calibration": told,
        "recipe": {name: getattr(recipe, name) for name in module.TAKES},
        **({"qat": tuned.provenance()} if tuned else {}),
        "settings": dataclasses.asdict(settings),
        "epochs": len(run.history()),
        **({"teachers": run.teachers} if run.teachers else {}),
        **({"parent": run.parent} if run.parent else {}),
        "scores": {
            "split": name,
            "n": evaluation.n,
            "accuracy": evaluation.accuracy.share,
            "float_accuracy": parent.accuracy.share,
            "agreement": verdict.agreement,
            "ece": confidence.ece,
            "calibrated_ece": confidence.calibrated_ece,
        },
    }
    progress(STAGES, STAGES, "done")
    changed = tuple(label_changes(parent_logits, logits, images.labels, temperature=confidence.temperature))
    artifact = dataclasses.replace(bare, provenance=provenance, temperature=confidence.temperature)
    return Quantized(artifact, parent, evaluation, verdict, images, changed, confidence)


def calibration_for(
    learn: Split, *, calibration: CalibrationSet | None = None, calibration_size: int = 500, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """The faces that calibrate, uint8 (n, h, w), and what the contract tells of them; arguments as of quantize()."""
    if calibration is not None:
        return calibration.faces, calibration.provenance()
    faces = calibration_faces(learn, size=calibration_size, seed=seed)
    return faces, {"faces": len(faces), "seed": seed}


def _with_golden(bare: Artifact, faces: npt.NDArray[np.uint8]) -> Artifact:
    """``bare`` with golden vectors, and with a tolerance that follows from how far its kernels are apart.

    The outputs of the default kernels and of the reference kernels, which every runtime can fall back on, are the
    records. Both run some real ``faces`` too; a board must land within their largest difference and one step more.
    Float kernels only sum in another order, so ten times their difference is still small.
    """
    inputs = prepare_all(golden_faces(GOLDEN_COUNT), bare.input_spec)
    trial, count = np.concatenate([inputs, faces]), len(inputs)
    fast, plain = (
        Classifier.from_artifact(bare, kernels=kernels, check=False).raw(trial) for kernels in ("default", "reference")
    )
    spread = float(np.abs(fast.astype(np.float64) - plain.astype(np.float64)).max())
    tolerance = spread + 1 if np.issubdtype(fast.dtype, np.integer) else max(10 * spread, 1e-4)
    return dataclasses.replace(bare, golden=Golden(inputs, fast[:count], plain[:count], tolerance))
