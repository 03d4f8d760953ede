"""How far an int8 model's score depends on which faces calibrated it.

    sets = choose_disjoint(dataset, sets=5, size=500)
    spread = stability(run, "int8", dataset, sets)
    spread.accuracies, spread.std_points, spread.agreement

Two models whose scores differ by less than this spread are not told apart by them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import Dataset
from edgefer.progress import Progress, silent
from edgefer.text_table import Result, percent
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import Chosen
from edgefer.workstation.quantization.options import DEFAULTS, QuantizationOptions
from edgefer.workstation.training.keras_inference import flatbuffer_logits, load_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.quantize import SCHEMES

__all__ = ["Stability", "pairwise_agreement", "stability", "with_stability"]


@dataclass(frozen=True)
class Stability:
    """Models of one network that differ in the faces that calibrated them, scored on the same images.

    Attributes:
        size: how many faces calibrated each.
        split, n: what they were scored on, and how many images that are.
        correct: how many of these each model names correctly.
        agreement: share of the images that two of the models give the same label, mean over all pairs.
    """

    size: int
    split: str
    n: int
    correct: tuple[int, ...]
    agreement: float

    @property
    def accuracies(self) -> list[float]:
        """The share of correct images, one for each model."""
        return [correct / self.n for correct in self.correct]

    @property
    def std_points(self) -> float:
        """Standard deviation of the accuracy among calibration sets (over sets - 1), in percentage points."""
        return float(100 * np.std(self.accuracies, ddof=1))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sets": len(self.correct),
            "size": self.size,
            "split": self.split,
            "n": self.n,
            "accuracies": self.accuracies,
            "min": min(self.accuracies),
            "max": max(self.accuracies),
            "std_points": self.std_points,
            "mean_agreement": self.agreement,
        }


def stability(
    run: Run,
    scheme: str,
    dataset: Dataset,
    sets: Sequence[Chosen],
    *,
    recipe: QuantizationOptions = DEFAULTS,
    progress: Progress = silent,
) -> Stability:
    """Convert ``run`` by ``scheme`` and ``recipe`` once with each of the ``sets``, two at least, and score them all."""
    module = plugins.load(SCHEMES, scheme)
    spec = run.settings().input
    network = load_network(load_keras(backend="tensorflow"), run)
    _, select, name = validation_split(dataset, run.settings())
    images = prepare_all(select.pixels, spec)
    labels = []
    for index, chosen in enumerate(sets):
        progress(index, len(sets), f"{len(chosen)} other faces")
        flatbuffer = module.convert(network, calibration=prepare_all(chosen.faces, spec), recipe=recipe)
        labels.append(flatbuffer_logits(flatbuffer, images, spec).argmax(axis=1))
    progress(len(sets), len(sets), "done")
    return Stability(
        size=len(sets[0]),
        split=name,
        n=len(select),
        correct=tuple(int((given == select.labels).sum()) for given in labels),
        agreement=pairwise_agreement(labels),
    )


def pairwise_agreement(labels: Sequence[npt.NDArray[np.intp]]) -> float:
    """Return the share of images that two models label alike, averaged over all pairs of models.

    Args:
        labels: one int array (n,) of predicted labels per model, for the same n images; at least two models.
    """
    return float(np.mean([(first == second).mean() for first, second in itertools.combinations(labels, 2)]))


def with_stability(result: Result, found: Stability) -> Result:
    """The result of quantizing, with the spread in its record and, above its last line, in its text."""
    low, high = (100 * bound(found.accuracies) for bound in (min, max))
    text = (
        f"{len(found.correct)} disjoint sets of {found.size:,} calibration faces: {low:.2f} to {high:.2f} %, "
        f"std {found.std_points:.2f} points;\n"
        f"two such models give the same label to {percent(found.agreement)} of {found.n:,} images of {found.split}"
    )
    before, _, what_next = result.text.rpartition("\n")
    return replace(
        result, record={**result.record, "stability": found.to_json()}, text=f"{before}\n{text}\n{what_next}"
    )
