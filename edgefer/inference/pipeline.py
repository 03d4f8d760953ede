"""Detect and classify the faces in images, one at a time or in batches.

    pipeline = Pipeline.open(edgefer.models.SHIPPED)        # the shipped model, with the Haar detector
    for face in pipeline(image):                    # uint8 BGR (h, w, 3)
        face.box, face.prediction.label

Without a detector, the whole image is treated as one face. predict_batch() processes many images in several threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from edgefer.contract.image_header import memory_limit
from edgefer.contract.preprocessing import require_image
from edgefer.errors import DataError
from edgefer.inference.classifier import Classifier, Prediction
from edgefer.inference.face_detection import DEFAULT_DETECTOR, LONGEST_SIDE, FaceBox, FaceDetector
from edgefer.inference.image_source import DecodedImage, ImageSource

__all__ = ["Face", "ImageResult", "Pipeline", "predict_batch"]

# Batches that are submitted before their results are consumed; memory_limit() bounds their total memory.
BATCHES_PER_WORKER = 3
BATCH_MEMORY_BYTES = 50_000_000


@dataclass(frozen=True)
class Face:
    """Detected face with its prediction.

    Attributes:
        box: bounding box, pixels of the image.
        prediction: result of the classifier.
    """

    box: FaceBox
    prediction: Prediction


class Pipeline:
    """Face detector followed by a classifier; use one instance per thread."""

    def __init__(self, classifier: Classifier, detector: FaceDetector | None) -> None:
        self.classifier, self.detector = classifier, detector

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str],
        *,
        detector: str = DEFAULT_DETECTOR,
        detector_model: str | os.PathLike[str] | None = None,
        longest_side: int = LONGEST_SIDE,
    ) -> Pipeline:
        """Load a model and a detector.

        Args:
            model: path of a .tflite with a contract.
            detector: a module in ``inference/detectors``.
            detector_model: model file of the detector; None takes the default of the detector, if it has one.
            longest_side: larger images are shrunk to this many pixels for detection.

        Raises:
            EdgeferError: the errors of Classifier.open() and FaceDetector.open().
        """
        classifier = Classifier.open(model)
        return cls(classifier, FaceDetector.open(detector, model=detector_model, longest_side=longest_side))

    def __call__(self, image: npt.NDArray[np.uint8]) -> tuple[Face, ...]:
        """Return the faces in uint8 (h, w), BGR (h, w, 3) or BGRA (h, w, 4), largest first.

        Raises:
            DataError: ``image`` has another shape or dtype.
        """
        return self.all([image])[0]

    def all(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[Face, ...]]:
        """Return the faces of several images, classified in one batch."""
        boxes = [self._boxes(image) for image in images]
        crops = [self._crop(image, box) for image, image_boxes in zip(images, boxes) for box in image_boxes]
        predictions = iter(self.classifier.predict_all(crops))
        return [tuple(Face(box, next(predictions)) for box in image_boxes) for image_boxes in boxes]

    def _boxes(self, image: npt.NDArray[np.uint8]) -> tuple[FaceBox, ...]:
        if self.detector is None:
            height, width = require_image(image).shape[:2]
            return (FaceBox(0, 0, width, height),)
        return self.detector.detect(image)

    def _crop(self, image: npt.NDArray[np.uint8], box: FaceBox) -> npt.NDArray[np.uint8]:
        return image if self.detector is None else self.detector.crop(image, box)


@dataclass(frozen=True, eq=False)
class ImageResult:
    """Faces found in one image.

    Attributes:
        name: name of the image.
        faces: faces, largest first, with boxes in pixels of the image.
        problem: the error if the image could not be read; None otherwise.
        image: uint8 BGR (h, w, 3) if images are kept; None otherwise.
        reduction: pixels of the file per pixel of the image, in width and in height.
    """

    name: str
    faces: tuple[Face, ...] = ()
    problem: DataError | None = None
    image: npt.NDArray[np.uint8] | None = None
    reduction: int = 1


def predict_batch(
    pictures: Iterable[ImageSource],
    make_pipeline: Callable[[], Pipeline],
    *,
    workers: int = 1,
    batch: int = 1,
    keep_images: bool = False,
) -> Iterator[ImageResult]:
    """Yield a result per picture, in the order of ``pictures``.

    Decoding, detection and classification release the GIL, so threads run in parallel. All workers together hold images
    of at most memory_limit() bytes, as estimated by the sources.

    Args:
        pictures: sources; the workers decode them.
        make_pipeline: called once per worker, in the thread that consumes the results.
        workers: number of threads.
        batch: pictures per task; larger batches reduce the overhead for small pictures.
        keep_images: keep the decoded images in the results.

    Raises:
        EdgeferError: an error of ``make_pipeline``.
    """
    pipelines, limit = SimpleQueue[Pipeline](), memory_limit()

    def predict(sources: Sequence[ImageSource]) -> list[ImageResult]:
        pipeline = pipelines.get()
        try:
            return _predict(sources, pipeline, keep_images)
        finally:
            pipelines.put(pipeline)

    submitted, opened = deque[tuple[Future[list[ImageResult]], int]](), 0
    with ThreadPoolExecutor(workers) as pool:
        try:
            for sources in _batches(pictures, batch):
                memory_bytes = sum(source.memory_bytes for source in sources)
                while submitted and (
                    len(submitted) >= BATCHES_PER_WORKER * workers
                    or memory_bytes + _memory_in_use(submitted, keep_images) > limit
                ):
                    yield from submitted.popleft()[0].result()
                if opened < workers:
                    pipelines.put(make_pipeline())
                    opened += 1
                submitted.append((pool.submit(predict, sources), memory_bytes))
            while submitted:
                yield from submitted.popleft()[0].result()
        finally:
            for future, _ in submitted:
                future.cancel()


def _batches(pictures: Iterable[ImageSource], size: int) -> Iterator[list[ImageSource]]:
    """Yield up to ``size`` sources at a time; each large image is its own batch."""
    batch: list[ImageSource] = []
    for source in pictures:
        if batch and sum(picture.memory_bytes for picture in [*batch, source]) > BATCH_MEMORY_BYTES:
            yield batch
            batch = []
        batch.append(source)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _memory_in_use(submitted: Iterable[tuple[Future[list[ImageResult]], int]], keep_images: bool) -> int:
    """Return the memory of batches that are queued, running, or waiting for the consumer."""
    return sum(memory_bytes for future, memory_bytes in submitted if keep_images or not future.done())


def _predict(sources: Sequence[ImageSource], pipeline: Pipeline, keep_images: bool) -> list[ImageResult]:
    decoded: dict[int, DecodedImage] = {}
    problems: dict[int, DataError] = {}
    for index, source in enumerate(sources):
        try:
            decoded[index] = source.decode()
        except DataError as error:
            problems[index] = error
    faces = dict(zip(decoded, pipeline.all([picture.image for picture in decoded.values()])))
    return [
        ImageResult(
            source.name,
            faces[index],
            image=decoded[index].image if keep_images else None,
            reduction=decoded[index].reduction,
        )
        if index in decoded
        else ImageResult(source.name, problem=problems[index])
        for index, source in enumerate(sources)
    ]
