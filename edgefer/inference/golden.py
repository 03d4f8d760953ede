"""Record golden vectors: synthetic faces with the outputs of this machine, and the tolerance of their replay.

    artifact = record_golden_vectors(Artifact.bare(model, labels, spec), faces)
    artifact.golden.check(outputs)                  # on another machine
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.synthetic import golden_faces
from edgefer.errors import IncompatibleError
from edgefer.inference.classifier import Classifier

__all__ = ["record_golden_vectors"]

# One face of each expression, a very dark one and a very bright one; each takes 180 bytes of the file.
GOLDEN_COUNT = 9


def record_golden_vectors(bare: Artifact, faces: npt.NDArray[np.uint8]) -> Artifact:
    """Return ``bare`` with golden vectors and the tolerance of their replay.

    The golden outputs are those of the default kernels and of the reference kernels, which every runtime has. The
    reference kernels lack a few operators, such as ELU; the built-in kernels, which round alike, then replace them.
    Both also run real ``faces``, uint8 (n, *spec.shape), n >= 0. The tolerance is their largest difference plus one
    step; for float outputs, ten times the difference, because float kernels only differ in the order of summation.
    """
    inputs = prepare_all(golden_faces(GOLDEN_COUNT), bare.input_spec)
    trial, count = np.concatenate([inputs, faces]), len(inputs)
    default = Classifier.from_artifact(bare, check=False).raw(trial)
    try:
        other = Classifier.from_artifact(bare, kernels="reference", check=False)
    except IncompatibleError:
        other = Classifier.from_artifact(bare, kernels="builtin", check=False)
    reference = other.raw(trial)
    difference = float(np.abs(default.astype(np.float64) - reference.astype(np.float64)).max())
    tolerance = difference + 1 if np.issubdtype(default.dtype, np.integer) else max(10 * difference, 1e-4)
    return dataclasses.replace(bare, golden=Golden(inputs, default[:count], reference[:count], tolerance))
