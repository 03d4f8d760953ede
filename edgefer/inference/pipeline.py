"""From a picture to what each face in it looks like.

    pipeline = Pipeline.open(edgefer.models.SHIPPED)        # the model that ships, and Haar
    for face in pipeline(image):                    # uint8 BGR (h, w, 3)
        face.box, face.prediction.label

Without a finder the whole picture is taken for one face. A pipeline belongs to one thread.

Many pictures through as many pipelines as there are threads, in the order in which they came.

    for look in predict_batch(pictures(files), lambda: Pipeline(Classifier.open(model), FaceDetector.open()), workers=4):
        look.name, look.faces, look.problem

Decoding, finding and classifying leave Python's lock, so threads run side by side. A few pictures are ahead at most:
a folder of any size takes the memory of those few.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError
from edgefer.inference.classifier import Classifier, Prediction
from edgefer.inference.face_detection import LONGEST_SIDE, FaceBox, FaceDetector
from edgefer.inference.images import Decoded, Picture

__all__ = ["Face", "ImageResult", "Pipeline", "predict_batch"]

@dataclass(frozen=True)
class Face:
    """A face, and what it looks like.

    Attributes:
        box: where it is.
        prediction: what the classifier makes of it.
    """

    box: FaceBox
    prediction: Prediction


class Pipeline:
    """A finder of faces and a classifier."""

    def __init__(self, classifier: Classifier, finder: FaceDetector | None) -> None:
        self.classifier, self.finder = classifier, finder

    @classmethod
    def open(
        cls, model: str | os.PathLike[str], *, detector: str = "haar", longest_side: int = LONGEST_SIDE
    ) -> Pipeline:
        """Load a model and a detector; the rest, and the errors, are Classifier.open()'s and FaceDetector.open()'s."""
        return cls(Classifier.open(model), FaceDetector.open(detector, longest_side=longest_side))

    def __call__(self, image: npt.NDArray[np.uint8]) -> tuple[Face, ...]:
        """The faces of uint8 (h, w) or BGR (h, w, 3), the largest first.

        Raises:
            DataError: not such an array.
        """
        return self.all([image])[0]

    def all(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[Face, ...]]:
        """The faces of each of several pictures, classified together."""
        boxes = [self._boxes(image) for image in images]
        crops = [self._crop(image, box) for image, found in zip(images, boxes) for box in found]
        predictions = iter(self.classifier.predict_all(crops))
        return [tuple(Face(box, next(predictions)) for box in found) for found in boxes]

    def _boxes(self, image: npt.NDArray[np.uint8]) -> tuple[FaceBox, ...]:
        if self.finder is None:
            return (FaceBox(0, 0, image.shape[1], image.shape[0]),)
        return self.finder.find(image)

    def _crop(self, image: npt.NDArray[np.uint8], box: FaceBox) -> npt.NDArray[np.uint8]:
        return image if self.finder is None else self.finder.crop(image, box)


AHEAD_PER_WORKER = 3


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What came of a picture.

    Attributes:
        name: of the picture.
        faces: in it, the largest first; their boxes are in pixels of the image.
        problem: why there are none, where it could not be read.
        image: uint8 BGR (h, w, 3), where it was asked for.
        reduction: how many pixels of the file are one of the image, in width and in height.
    """

    name: str
    faces: tuple[Face, ...] = ()
    problem: DataError | None = None
    image: npt.NDArray[np.uint8] | None = None
    reduction: int = 1


def predict_batch(
    pictures: Iterable[Picture],
    make_pipeline: Callable[[], Pipeline],
    *,
    workers: int = 1,
    batch: int = 1,
    keep_images: bool = False,
) -> Iterator[ImageResult]:
    """Look at each of ``pictures``.

    Args:
        pictures: they are read in the workers.
        make_pipeline: called once in each worker.
        workers: threads.
        batch: how many pictures a worker takes at once; of small ones, handing over costs as much as looking.
        keep_images: whether the results hold the pictures.

    Raises:
        EdgeferError: what ``make_pipeline`` raised.
    """
    own = threading.local()

    def look(some: Sequence[Picture]) -> list[ImageResult]:
        if not hasattr(own, "pipeline"):
            own.pipeline = make_pipeline()
        return _looks(some, own.pipeline, keep_images)

    waiting, ahead = iter(pictures), deque[Future[list[ImageResult]]]()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while some := list(islice(waiting, batch)):
                ahead.append(pool.submit(look, some))
                if len(ahead) >= AHEAD_PER_WORKER * workers:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _looks(some: Sequence[Picture], pipeline: Pipeline, keep_images: bool) -> list[ImageResult]:
    read: dict[int, Decoded] = {}
    problems: dict[int, DataError] = {}
    for position, picture in enumerate(some):
        try:
            read[position] = picture.decode()
        except DataError as error:
            problems[position] = error
    faces = dict(zip(read, pipeline.all([each.image for each in read.values()])))
    return [
        ImageResult(
            picture.name,
            faces[position],
            image=read[position].image if keep_images else None,
            reduction=read[position].reduction,
        )
        if position in read
        else ImageResult(picture.name, problem=problems[position])
        for position, picture in enumerate(some)
    ]
