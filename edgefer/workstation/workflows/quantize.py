"""Quantize a run: convert it, compare it with the float network, and attach the contract.

    context = QuantizationContext(run, dataset)
    quantized = quantize(context, "int8")
    quantized.artifact.save(run.artifact("int8"))
    quantized.comparison.difference_points, quantized.comparison.p_value
    quantized.temperature_fit.temperature
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import edgefer
from edgefer import plugins
from edgefer.contract.artifact import Artifact
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.evaluation_set import EvaluationSet
from edgefer.inference.classifier import Classifier
from edgefer.inference.first_load import trust_model
from edgefer.inference.golden import record_golden_vectors
from edgefer.progress import Progress, silent
from edgefer.results.evaluation import Evaluation
from edgefer.results.paired_comparison import LabelChange, PairedComparison, compare, label_changes
from edgefer.results.temperature_scaling import TemperatureFit
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import (
    DEFAULTS,
    QuantizationOptions,
    check_options,
    for_target,
    require_fit,
)
from edgefer.workstation.quantization.qat.finetune import FineTuned, QatSettings, finetune
from edgefer.workstation.quantization.temperature_scaling import measure_confidence
from edgefer.workstation.training.keras_inference import evaluate_logits
from edgefer.workstation.workflows.quantization_context import SCHEMES, QuantizationContext

__all__ = ["Quantized", "quantize"]

# Real faces that, with the golden ones, measure the difference between kernels.
TOLERANCE_FACES = 256
STAGES = 4


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized model and its comparison with the float network, on the validation images.

    Attributes:
        artifact: model and contract.
        float_evaluation, evaluation: evaluations of the float network and of the quantized model.
        comparison: comparison of the two, image by image.
        images: the validation images.
        label_changes: images whose label changed.
        temperature_fit: temperature of the contract, fitted on the same images.
    """

    artifact: Artifact
    float_evaluation: Evaluation
    evaluation: Evaluation
    comparison: PairedComparison
    images: EvaluationSet
    label_changes: tuple[LabelChange, ...]
    temperature_fit: TemperatureFit


def quantize(
    context: QuantizationContext,
    scheme: str,
    *,
    options: QuantizationOptions = DEFAULTS,
    target: str | None = None,
    qat: QatSettings | None = None,
    progress: Progress = silent,
) -> Quantized:
    """Quantize the run of ``context`` and score it on the validation images, which selected the run's best epoch.

    Args:
        context: the run, its data and its calibration faces.
        scheme: name of a scheme plugin.
        options: numeric options.
        target: require a model that runs there, one of TARGETS in options.py; None for no requirement.
        qat: settings of a scheme that trains; None uses the defaults.
        progress: called with (stages done, stages, current stage).

    Raises:
        UsageError: unknown scheme, an option that the scheme does not support, or a network that cannot be trained
            with fake quantization.
        DataError: the run has no weights.
        IncompatibleError: the model does not run on the target.
    """
    module = plugins.load(SCHEMES, scheme)
    check_options(options, scheme=scheme, supported=module.SUPPORTED_OPTIONS)
    options = for_target(options, target)
    tuned = None
    if module.NEEDS_TRAINING:
        tuned = finetune(
            context.run,
            context.network.model,
            context.split,
            qat or QatSettings(),
            calibration=context.faces,
            progress=progress,
        )
    system, images = context.settings.system, context.images
    progress(0, STAGES, f"converting {system} to {scheme}")
    flatbuffer = (
        module.convert(FloatNetwork(tuned.model, spec=context.settings.input), options)
        if tuned
        else context.flatbuffer(scheme, options)
    )
    if target is not None:
        require_fit(flatbuffer, target)
    progress(1, STAGES, "scoring the float network")
    float_logits, float_evaluation = context.float_logits, context.float_evaluation
    progress(2, STAGES, "recording golden vectors")
    spec, labels = context.settings.input, context.run.labels
    trust_model(flatbuffer)
    bare = record_golden_vectors(
        Artifact.bare(flatbuffer, labels, spec, scheme=scheme, output=context.run.output),
        prepare_all(context.split.training.pixels[:TOLERANCE_FACES], spec),
    )
    progress(3, STAGES, f"scoring {scheme}")
    classifier = Classifier.from_artifact(bare)
    logits = context.score(flatbuffer) if tuned else context.logits(scheme, options)
    evaluation = evaluate_logits(logits, images, model=f"{system}-{scheme}", subject=classifier.subject, labels=labels)
    comparison = compare(float_logits, logits, images.labels, label_names=labels)
    fit = measure_confidence(logits, images.labels)
    progress(STAGES, STAGES, "done")
    scores = {
        "split": images.split,
        "n": evaluation.n,
        "accuracy": evaluation.accuracy.share,
        "float_accuracy": float_evaluation.accuracy.share,
        "agreement": comparison.agreement,
        "ece": fit.ece,
        "calibrated_ece": fit.calibrated_ece,
    }
    artifact = dataclasses.replace(
        bare,
        provenance={**_provenance(context, module, options, tuned), "scores": scores},
        temperature=fit.temperature,
    )
    changes = tuple(label_changes(float_logits, logits, images.labels, temperature=fit.temperature))
    return Quantized(artifact, float_evaluation, evaluation, comparison, images, changes, fit)


def _provenance(
    context: QuantizationContext, scheme: Any, options: QuantizationOptions, tuned: FineTuned | None
) -> dict[str, Any]:
    """Return the origin of a model, without its scores."""
    import tensorflow as tf

    run, settings = context.run, context.settings
    return {
        "system": settings.system,
        "edgefer": edgefer.__version__,
        "converter": f"tensorflow {tf.__version__}",
        "data": {"name": context.dataset.layout, "sha256": context.dataset.sha256},
        "calibration": context.calibration.provenance() if scheme.NEEDS_CALIBRATION else None,
        "recipe": options.to_json(scheme.SUPPORTED_OPTIONS),
        **({"qat": tuned.provenance()} if tuned else {}),
        "settings": settings.to_json(),
        "epochs": len(run.history()),
        **({"teachers": run.teachers} if run.teachers else {}),
        **({"parent": run.parent} if run.parent else {}),
        **({"imported": run.environment()["imported"]} if run.is_imported else {}),
    }
