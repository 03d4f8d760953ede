"""edgefer: facial-expression recognition from a workstation to an embedded board.

    from edgefer import Classifier

    classifier = Classifier.open("model.tflite")
    print(classifier.predict(image))                # image: uint8 grey or BGR
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Classifier", "FaceFinder", "Pipeline", "Prediction", "__version__"]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgefer.board.classifier import Classifier, Prediction
    from edgefer.board.faces import FaceFinder
    from edgefer.board.pipeline import Pipeline

MODULES = {"Classifier": "classifier", "FaceFinder": "faces", "Pipeline": "pipeline", "Prediction": "classifier"}


def __getattr__(name: str) -> Any:
    # Resolved on first use, so that `import edgefer` and `edgefer --help` load neither numpy nor OpenCV.
    if name in MODULES:
        import importlib

        return getattr(importlib.import_module(f"edgefer.board.{MODULES[name]}"), name)
    raise AttributeError(f"module 'edgefer' has no attribute {name!r}")
