"""edgefer: facial-expression recognition from a workstation to an embedded board.

    from edgefer import Classifier

    classifier = Classifier.open("model.tflite")    # or edgefer.models.SHIPPED
    print(classifier.predict(image))                # image: uint8 grey or BGR
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Classifier", "FaceFinder", "Live", "Pipeline", "Prediction", "Scene", "__version__"]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgefer.board.classifier import Classifier, Prediction
    from edgefer.board.faces import FaceFinder
    from edgefer.board.live import Live
    from edgefer.board.pipeline import Pipeline
    from edgefer.board.scene import Scene

MODULES = {
    "Classifier": "classifier",
    "FaceFinder": "faces",
    "Live": "live",
    "Pipeline": "pipeline",
    "Prediction": "classifier",
    "Scene": "scene",
}


def __getattr__(name: str) -> Any:
    # Resolved on first use, so that `import edgefer` and `edgefer --help` load neither numpy nor OpenCV.
    if name in MODULES:
        import importlib

        return getattr(importlib.import_module(f"edgefer.board.{MODULES[name]}"), name)
    raise AttributeError(f"module 'edgefer' has no attribute {name!r}")
