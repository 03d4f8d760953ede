"""Find the faces in a photograph and print the most probable expressions of each.

python examples/classify_photograph.py photo.jpg
"""

from __future__ import annotations

import sys

import cv2

from edgefer import Pipeline
from edgefer.models import SHIPPED


def main(path: str) -> None:
    """Print one line per face."""
    image = cv2.imread(path)  # BGR
    if image is None:
        sys.exit(f"{path} is not an image that OpenCV reads")
    pipeline = Pipeline.open(SHIPPED)
    labels = pipeline.classifier.artifact.labels
    for face in pipeline(image):
        probabilities = sorted(zip(face.prediction.probabilities, labels, strict=True), reverse=True)
        top = ", ".join(f"{label} {probability:.0%}" for probability, label in probabilities[:3])
        print(f"face at ({face.box.x}, {face.box.y}), {face.box.width} x {face.box.height} pixels: {top}")


if __name__ == "__main__":
    main(sys.argv[1])
