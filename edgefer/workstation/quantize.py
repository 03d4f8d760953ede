"""From a run to an artefact: convert by a scheme, score against the float parent, attach the contract.

    quantized = quantize(run, "int8", dataset)
    quantized.artefact.save(run.artefact("int8"))
    quantized.parent.accuracy, quantized.evaluation.accuracy, quantized.agreement
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import edgefer
from edgefer import catalogue, records
from edgefer.artefact import Artefact, Golden
from edgefer.board.classifier import Classifier
from edgefer.evaluation import Evaluation
from edgefer.labels import LABELS
from edgefer.preprocess import prepare_all
from edgefer.progress import Progress, silent
from edgefer.report.text import points
from edgefer.result import Result, percent, table
from edgefer.workstation.backend import load_keras
from edgefer.workstation.calibration import calibration_faces
from edgefer.workstation.calibration_set import CalibrationSet
from edgefer.workstation.dataset import Dataset
from edgefer.workstation.evaluation import evaluate_logits, keras_logits, load_network
from edgefer.workstation.runs import Run
from edgefer.workstation.scoreset import ScoreSet, score_set
from edgefer.workstation.synthetic import golden_faces
from edgefer.workstation.training import selection_split

__all__ = ["Quantized", "quantize", "summary"]

SCHEMES = "edgefer.workstation.schemes"
GOLDEN_COUNT = 24
# Real faces on which the kernels are compared, beside the golden ones, to measure how far apart they may be.
SPREAD_COUNT = 256
NO_GOLDEN = Golden(np.empty((0, 48, 48), np.uint8), np.empty((0, len(LABELS)), np.float32), 0.0)
STAGES = 4


@dataclass(frozen=True, eq=False)
class Quantized:
    """An artefact with what it costs.

    Attributes:
        artefact: the model and its contract.
        parent: the Keras network on the selection split.
        evaluation: the artefact on the same images.
        agreement: share of those images that both give the same label.
    """

    artefact: Artefact
    parent: Evaluation
    evaluation: Evaluation
    agreement: float

    @property
    def drop_points(self) -> float:
        """Accuracy lost against the parent, in percentage points; negative where it gained."""
        return 100 * (self.parent.accuracy.correct - self.evaluation.accuracy.correct) / self.parent.n


def quantize(
    run: Run,
    scheme: str,
    dataset: Dataset,
    *,
    calibration: CalibrationSet | None = None,
    calibration_size: int = 500,
    seed: int = 0,
    progress: Progress = silent,
) -> Quantized:
    """Make the artefact of ``run`` by ``scheme``, scored on the split that chose the run's best epoch.

    Args:
        scheme: a name from the catalogue of schemes.
        dataset: the data that the run was trained on: its Training calibrates, its selection split scores.
        calibration: the faces that set the ranges, as they were read for this data.
        calibration_size, seed: without such a set, how many Training faces are drawn, and which.

    Raises:
        UsageError: no such scheme.
        DataError: the run has no weights, or was trained on other data.
    """
    module = catalogue.load(SCHEMES, scheme)
    settings = run.settings()
    run.require_data(dataset)
    keras = load_keras(backend="tensorflow")
    import tensorflow as tf

    network = load_network(keras, run)
    learn, select, name = selection_split(dataset, settings)
    ranges, told = None, None
    if module.NEEDS_CALIBRATION and calibration is not None:
        ranges, told = prepare_all(calibration.faces, settings.input), calibration.provenance()
    elif module.NEEDS_CALIBRATION:
        ranges = prepare_all(calibration_faces(learn, size=calibration_size, seed=seed), settings.input)
        told = {"faces": len(ranges), "seed": seed}
    progress(0, STAGES, f"converting {settings.system} to {scheme}")
    flatbuffer = module.convert(network, calibration=ranges)
    progress(1, STAGES, "scoring the float parent")
    images = score_set(dataset, select, name=name, spec=settings.input)
    parent_logits = keras_logits(network, images.faces)
    parent = evaluate_logits(parent_logits, images, model=settings.system, subject=run.subject)
    progress(2, STAGES, "recording golden vectors")
    bare = Artefact(flatbuffer, LABELS, settings.input, scheme, NO_GOLDEN, {})
    bare = _with_golden(bare, prepare_all(learn.pixels[:SPREAD_COUNT], settings.input))
    progress(3, STAGES, f"scoring {scheme}")
    evaluation, agreement = _score(bare, images, parent_logits, name=f"{settings.system}-{scheme}")
    provenance = {
        "system": settings.system,
        "edgefer": edgefer.__version__,
        "converter": f"tensorflow {tf.__version__}",
        "data": {"name": dataset.layout, "sha256": dataset.sha256},
        "calibration": told,
        "settings": dataclasses.asdict(settings),
        "epochs": len(run.history()),
        "scores": {
            "split": name,
            "n": evaluation.n,
            "accuracy": evaluation.accuracy.share,
            "float_accuracy": parent.accuracy.share,
            "agreement": agreement,
        },
    }
    progress(STAGES, STAGES, "done")
    return Quantized(dataclasses.replace(bare, provenance=provenance), parent, evaluation, agreement)


def _with_golden(bare: Artefact, faces: npt.NDArray[np.uint8]) -> Artefact:
    """``bare`` with golden vectors, and with a tolerance that follows from how far its kernels are apart.

    The outputs of the default kernels are the record. The reference kernels, which every runtime can fall back on, run
    the same inputs and some real ``faces``; a board must land within their largest difference and one step more. Float
    kernels only sum in another order, so ten times their difference is still small.
    """
    inputs = prepare_all(golden_faces(GOLDEN_COUNT), bare.input_spec)
    trial = np.concatenate([inputs, faces])
    fast, plain = (
        Classifier.from_artefact(bare, kernels=kernels, check=False).raw(trial) for kernels in ("default", "reference")
    )
    spread = float(np.abs(fast.astype(np.float64) - plain.astype(np.float64)).max())
    tolerance = spread + 1 if np.issubdtype(fast.dtype, np.integer) else max(10 * spread, 1e-4)
    return dataclasses.replace(bare, golden=Golden(inputs, fast[: len(inputs)], tolerance))


def _score(
    artefact: Artefact, images: ScoreSet, parent_logits: npt.NDArray[np.float32], *, name: str
) -> tuple[Evaluation, float]:
    """The record of the artefact on ``images``, and the share of them that get the label that the parent gives."""
    classifier = Classifier.from_artefact(artefact)
    logits = classifier.logits(images.faces)
    evaluation = evaluate_logits(logits, images, model=name, subject=classifier.subject)
    return evaluation, float((logits.argmax(axis=1) == parent_logits.argmax(axis=1)).mean())


def summary(quantized: Quantized, path: Path) -> Result:
    """What quantizing cost; ``path`` is where the artefact was written."""
    artefact, parent, own = quantized.artefact, quantized.parent, quantized.evaluation
    record = {
        **records.stamp("quantization", 1),
        "path": str(path),
        "sha256": artefact.sha256,
        "scheme": artefact.scheme,
        "model_bytes": len(artefact.model),
        "file_bytes": path.stat().st_size,
        "drop_points": quantized.drop_points,
        "agreement": quantized.agreement,
        "golden_tolerance": artefact.golden.tolerance,
        "provenance": artefact.provenance,
        "parent": parent.to_json(),
        "evaluation": own.to_json(),
    }
    rows = [
        [name, points(each.accuracy), points(each.unseen), percent(each.macro_f1)]
        for name, each in (("float parent", parent), (artefact.scheme, own))
    ]
    drop = quantized.drop_points
    lost = f"{abs(drop):.2f} points {'gained' if drop < 0 else 'lost'}"
    text = (
        f"{path}: {path.stat().st_size:,} bytes, of which {len(artefact.model):,} are the model\n"
        f"{table(['', f'{own.split} (95 %)', 'without twins', 'macro-F1'], rows)}\n"
        f"{lost}, the same label for {quantized.agreement:.2%} of {own.n:,} images\n"
        "next: edgefer bench --device"
    )
    return Result(record, text)
