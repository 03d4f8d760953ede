"""Soak test of live video: check that memory does not grow over a long run.

    python benchmarks/live_soak.py --frames 100000 --out benchmarks/results/live-soak.json

Two synthetic faces appear, move and disappear in a small clip, which is read in a loop as fast as possible. The
resident memory of the process is recorded every thousand frames. 100,000 frames are 55 minutes at 30 frames per second,
and a leak per frame shows at any rate.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.data.synthetic import golden_faces
from edgefer.device import description, sysfs
from edgefer.inference.pipeline import Pipeline
from edgefer.live.camera import Camera, CapturedFrame, Source
from edgefer.live.session import Live
from edgefer.models import SHIPPED
from edgefer.results import schema

SIZE, FACE_SIDE = (160, 120), 72
CLIP_FRAMES = 1000
DETECT_EVERY = 5
SAMPLE_EVERY = 1000
# Caches of OpenCV and of the allocator fill during the first frames.
WARM_UP_FRAMES = 5000


@dataclass(frozen=True)
class LoopedSource(Source):
    """Video source that starts over at its end."""

    def open(self) -> Camera:
        """Open the video file."""
        return _LoopedCamera(super().open)


class _LoopedCamera:
    """Camera that reopens its video file at the end."""

    def __init__(self, open_file: Callable[[], Camera]) -> None:
        self._open_file, self._camera = open_file, open_file()
        self.fps = self._camera.fps

    def read(self) -> CapturedFrame | None:
        frame = self._camera.read()
        if frame is None:
            self._camera.close()
            self._camera = self._open_file()
            frame = self._camera.read()
        return frame

    def close(self) -> None:
        self._camera.close()


def main() -> None:
    """Parse the command line, run the soak test and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000, help="number of frames to process")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.avi")
        write_clip(path)
        record = soak(path, options.frames)
    files.write_text(options.out, json.dumps({**schema.header("live_soak", 1), **record}, indent=1) + "\n")


def soak(path: Path, frames: int) -> dict[str, Any]:
    """Process ``frames`` frames of the looped video ``path`` and return the record."""
    rss_bytes, frames_with_faces, tracks = [], 0, 0
    begin_s = time.monotonic()
    source = LoopedSource("video", str(path))
    with Live(Pipeline.open(SHIPPED), source, detect_every=DETECT_EVERY, every_frame=True, draw=True) as live:
        for result in live:
            result.to_json()
            frames_with_faces += bool(result.faces)
            tracks = max([tracks, *(face.track + 1 for face in result.faces)])
            if (result.number + 1) % SAMPLE_EVERY == 0:
                rss_bytes.append(sysfs.rss_bytes() or 0)
            if result.number + 1 == frames:
                break
        elapsed_s, timing = time.monotonic() - begin_s, live.timing
    after_warm_up = np.array(rss_bytes[WARM_UP_FRAMES // SAMPLE_EVERY :], np.float64)
    return {
        "model": SHIPPED.name,
        "device": description.describe(),
        "size": [*SIZE],
        "detect_every": DETECT_EVERY,
        "frames": frames,
        "elapsed_s": round(elapsed_s, 1),
        "fps": round(frames / elapsed_s, 1),
        "frames_with_faces": frames_with_faces,
        "tracks": tracks,
        "budget": timing.to_json(),
        "rss_every_frames": SAMPLE_EVERY,
        "warm_up_frames": WARM_UP_FRAMES,
        "rss_bytes": rss_bytes,
        "rss_largest_over_smallest": float(after_warm_up.max() / after_warm_up.min()),
        "rss_last_over_first": float(after_warm_up[-1] / after_warm_up[0]),
    }


def write_clip(path: Path) -> None:
    """Write CLIP_FRAMES frames with two synthetic faces, each of them visible part of the time."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, SIZE)
    for frame in _render_frames():
        writer.write(frame)
    writer.release()


def _render_frames() -> Iterator[npt.NDArray[np.uint8]]:
    faces = [cv2.resize(face, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC) for face in golden_faces(7)]
    happy, surprised = faces[3], faces[5]
    for number in range(CLIP_FRAMES):
        frame = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
        for face, phase, left in ((happy, 0, 4), (surprised, 60, 84)):
            if (number + phase) % 250 < 170:
                top = round(24 + 20 * np.sin((number + phase) / 30))
                frame[top : top + FACE_SIDE, left : left + FACE_SIDE] = face[..., None]
        yield frame


if __name__ == "__main__":
    main()
