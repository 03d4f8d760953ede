"""Whether live video takes no more memory after a night than after a minute, at an accelerated pace.

    python benchmarks/live_soak.py --frames 100000 --out benchmarks/results/live-soak.json

Two drawn faces come, move and leave, in a small film that is read from its file again and again; every fifth frame is
searched. The resident memory of the process is written down every thousand frames. At 30 frames a second 100,000 frames
are 55 minutes; what would grow by a frame shows all the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.data.synthetic import golden_faces
from edgefer.device import sysfs
from edgefer.inference.pipeline import Pipeline
from edgefer.live.camera import Camera, CapturedFrame, Source
from edgefer.live.session import Live
from edgefer.models import SHIPPED
from edgefer.results import schema

SIZE, FACE = (160, 120), 72
FILM_FRAMES = 1000
EVERY = 1000
# Caches of OpenCV and of the allocator fill in the beginning.
WARM_UP = 5000


@dataclass(frozen=True)
class Again(Source):
    """A film that begins again when it ends."""

    def open(self) -> Camera:
        """As Source.open()."""
        return _Endless(super().open, super().open())


class _Endless:
    """A Camera that opens the file anew at its end."""

    def __init__(self, reopen: Any, camera: Camera) -> None:
        self.fps = camera.fps
        self._reopen, self._camera = reopen, camera

    def read(self) -> CapturedFrame | None:
        shot = self._camera.read()
        if shot is None:
            self._camera.close()
            self._camera = self._reopen()
            shot = self._camera.read()
        return shot

    def close(self) -> None:
        self._camera.close()


def main() -> None:
    """Run and write; see above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.avi")
        write_film(path)
        record = soak(path, options.frames)
    files.write_text(options.out, json.dumps({**schema.header("live_soak", 1), **record}, indent=1) + "\n")


def soak(path: Path, frames: int) -> dict[str, Any]:
    """The record of so many frames of the film ``path``."""
    sizes, with_faces, tracks, ages = [], 0, 0, []
    begin = time.monotonic()
    with Live(Pipeline.open(SHIPPED), Again("video", str(path)), every_frame=True, draw=True) as live:
        for scene in live:
            scene.to_json()
            with_faces += bool(scene.faces)
            tracks = max([tracks, *(face.track + 1 for face in scene.faces)])
            if (scene.number + 1) % EVERY == 0:
                sizes.append(sysfs.rss_bytes() or 0)
                ages.append(scene.age_ms)
            if scene.number + 1 == frames:
                break
        elapsed_s, budget = time.monotonic() - begin, live.budget
    steady = np.array(sizes[WARM_UP // EVERY :], np.float64)
    return {
        "model": SHIPPED.name,
        "device": sysfs.describe(),
        "size": [*SIZE],
        "detect_every": 5,
        "frames": frames,
        "elapsed_s": round(elapsed_s, 1),
        "fps": round(frames / elapsed_s, 1),
        "frames_with_faces": with_faces,
        "tracks": tracks,
        "budget": budget.to_json(),
        "rss_every_frames": EVERY,
        "warm_up_frames": WARM_UP,
        "rss_bytes": sizes,
        "rss_largest_over_smallest": float(steady.max() / steady.min()),
        "rss_last_over_first": float(steady[-1] / steady[0]),
    }


def write_film(path: Path) -> None:
    """FILM_FRAMES frames of two drawn faces, each of which is there for a part of the time."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, SIZE)
    for frame in _frames():
        writer.write(frame)
    writer.release()


def _frames() -> Iterator[npt.NDArray[np.uint8]]:
    faces = [cv2.resize(face, (FACE, FACE), interpolation=cv2.INTER_CUBIC) for face in golden_faces(7)]
    happy, surprised = faces[3], faces[5]
    for number in range(FILM_FRAMES):
        frame = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
        for face, phase, left in ((happy, 0, 4), (surprised, 60, 84)):
            if (number + phase) % 250 < 170:
                top = round(24 + 20 * np.sin((number + phase) / 30))
                frame[top : top + FACE, left : left + FACE] = face[..., None]
        yield frame


if __name__ == "__main__":
    main()
