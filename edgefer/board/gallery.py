"""Many pictures through as many pipelines as there are threads, in the order in which they came.

    for look in look_at(pictures(files), lambda: Pipeline(Classifier.open(model), FaceFinder.open()), workers=4):
        look.name, look.faces, look.problem

Decoding, finding and classifying leave Python's lock, so threads run side by side. A few pictures are ahead at most:
a folder of any size takes the memory of those few.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from edgefer.board.pipeline import Face, Pipeline
from edgefer.board.sources import Decoded, Picture
from edgefer.errors import DataError

__all__ = ["Look", "look_at"]

AHEAD_PER_WORKER = 3


@dataclass(frozen=True, eq=False)
class Look:
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


def look_at(
    pictures: Iterable[Picture],
    make_pipeline: Callable[[], Pipeline],
    *,
    workers: int = 1,
    batch: int = 1,
    keep_images: bool = False,
) -> Iterator[Look]:
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

    def look(some: Sequence[Picture]) -> list[Look]:
        if not hasattr(own, "pipeline"):
            own.pipeline = make_pipeline()
        return _looks(some, own.pipeline, keep_images)

    waiting, ahead = iter(pictures), deque[Future[list[Look]]]()
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


def _looks(some: Sequence[Picture], pipeline: Pipeline, keep_images: bool) -> list[Look]:
    read: dict[int, Decoded] = {}
    problems: dict[int, DataError] = {}
    for position, picture in enumerate(some):
        try:
            read[position] = picture.decode()
        except DataError as error:
            problems[position] = error
    faces = dict(zip(read, pipeline.all([each.image for each in read.values()])))
    return [
        Look(
            picture.name,
            faces[position],
            image=read[position].image if keep_images else None,
            reduction=read[position].reduction,
        )
        if position in read
        else Look(picture.name, problem=problems[position])
        for position, picture in enumerate(some)
    ]
