"""edgefer: facial-expression recognition from a workstation to an embedded board.

    from edgefer import Classifier

    classifier = Classifier.open("model.tflite")    # or edgefer.models.SHIPPED
    print(classifier.predict(image))                # image: uint8 gray or BGR
"""

__all__ = ["Classifier", "FaceDetector", "FrameResult", "Live", "Pipeline", "Prediction", "__version__"]
__version__ = "0.1.0"

# With ``python -m edgefer``, the working folder is on the path until __main__.py runs, so nothing is imported here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edgefer.inference.classifier import Classifier, Prediction
    from edgefer.inference.face_detection import FaceDetector
    from edgefer.inference.pipeline import Pipeline
    from edgefer.live.frame_result import FrameResult
    from edgefer.live.session import Live

MODULES = {
    "Classifier": "inference.classifier",
    "FaceDetector": "inference.face_detection",
    "Live": "live.session",
    "Pipeline": "inference.pipeline",
    "Prediction": "inference.classifier",
    "FrameResult": "live.frame_result",
}


def __getattr__(name: str) -> "Any":
    # Resolved on first use, so that `import edgefer` and `edgefer --help` load neither numpy nor OpenCV.
    if name in MODULES:
        import importlib

        return getattr(importlib.import_module(f"edgefer.{MODULES[name]}"), name)
    raise AttributeError(f"module 'edgefer' has no attribute {name!r}")
