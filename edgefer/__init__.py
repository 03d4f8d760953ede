"""edgefer: facial-expression recognition from a workstation to an embedded board.

    from edgefer import Classifier

    classifier = Classifier.open("model.tflite")
    print(classifier.predict(image))                # image: uint8 grey or BGR
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Classifier", "Prediction", "__version__"]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgefer.board.classifier import Classifier, Prediction


def __getattr__(name: str) -> Any:
    # Resolved on first use, so that `import edgefer` and `edgefer --help` load neither numpy nor OpenCV.
    if name in ("Classifier", "Prediction"):
        from edgefer.board import classifier

        return getattr(classifier, name)
    raise AttributeError(f"module 'edgefer' has no attribute {name!r}")
