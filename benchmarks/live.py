"""How fast live video is on this machine, and how well faces are followed between two searches.

    python benchmarks/live.py --out benchmarks/results/live.json

A portrait (tests/fixtures/astronaut.jpg) moves over a background, 640 x 480. The film is looked at from end to end,
as fast as it goes, with a JSON line a frame and nothing else, in rounds that take turns; each way has the spread over
the rounds. Trackers are set on the face in the first frame and are asked where it is in the others, where the truth is
known.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.preprocessing import to_grey
from edgefer.device import sysfs
from edgefer.inference.face_detection import FaceBox, FaceDetector
from edgefer.inference.pipeline import Pipeline
from edgefer.live.camera import Source
from edgefer.live.runner import run_live
from edgefer.live.session import Live
from edgefer.live.sinks import Lines
from edgefer.live.tracking import Track, Tracker, overlap
from edgefer.models import SHIPPED
from edgefer.results import schema

PORTRAIT = Path(__file__).parents[1] / "tests" / "fixtures" / "astronaut.jpg"
FRAMES, SIZE = 300, (640, 480)
# What the cascade finds in the cut-out.
FACE = FaceBox(71, 59, 111, 111)
FRAME_NS = 33_333_333
# The first is what edgefer live does by itself.
WAYS: dict[str, dict[str, int]] = {
    "default": {"detect_every": 5, "search_side": 320},
    "search every frame": {"detect_every": 1, "search_side": 320},
    "search in 640 pixels": {"detect_every": 5, "search_side": 640},
}


def main() -> None:
    """Measure and write; see above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.avi")
        write_film(path)
        record = {"ways": measure(path, options.rounds), "trackers": [follow(name) for name in ("flow", "mil", "none")]}
    head = {"model": SHIPPED.name, "device": sysfs.describe(), "opencv": cv2.__version__, "size": [*SIZE]}
    files.write_text(options.out, json.dumps({**schema.header("live_speed", 1), **head, **record}, indent=1) + "\n")


def measure(path: Path, rounds: int) -> list[dict[str, Any]]:
    """Frames a second, and where a frame's time goes, of each way; every round has all of them."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            pipeline = Pipeline.open(SHIPPED, longest_side=way["search_side"])
            live = Live(pipeline, Source("video", str(path)), detect_every=way["detect_every"], every_frame=True)
            load = sysfs.load_average()
            with live, Path(os.devnull).open("w") as nowhere:
                runs[name].append({**run_live(live, [Lines(nowhere)]).to_json(), "load_average": load})
    return [
        {
            "name": name,
            **way,
            "fps_median": float(np.median([run["fps"] for run in runs[name]])),
            "fps_least": min(run["fps"] for run in runs[name]),
            "fps_most": max(run["fps"] for run in runs[name]),
            "runs": runs[name],
        }
        for name, way in WAYS.items()
    ]


def follow(name: str) -> dict[str, Any]:
    """How long a tracker takes, and how its boxes overlap with the truth, over frames without a search."""
    images, truths = zip(*(frame(number) for number in range(FRAMES)))
    tracker = Tracker(FaceDetector(_Nowhere()), detect_every=10**9)
    tracker.update(images[0], to_grey(images[0]), at_ns=0)
    tracker.tracks = (Track.at(0, truths[0]),)
    mil = cv2.TrackerMIL.create()
    first = truths[0]
    mil.init(images[0], (first.x, first.y, first.width, first.height))
    taken_ns, overlaps, box = [], [], first
    for number, (image, truth) in enumerate(zip(images[1:], truths[1:]), 1):
        grey = to_grey(image)
        begin = time.perf_counter_ns()
        if name == "flow":
            tracks = tracker.update(image, grey, at_ns=number * FRAME_NS)
            box = tracks[0].box if tracks else FaceBox(0, 0, 1, 1)
        elif name == "mil":
            box = FaceBox(*mil.update(image)[1])
        taken_ns.append(time.perf_counter_ns() - begin)
        overlaps.append(overlap(box, truth))
    after = {f"overlap_after_{frames}": round(overlaps[frames - 1], 3) for frames in (4, 30, FRAMES - 1)}
    p50_ms = float(np.median(taken_ns)) / 1e6
    return {"name": name, "p50_ms": round(p50_ms, 3), "overlap_least": round(min(overlaps), 3), **after}


class _Nowhere:
    """A detector that finds nothing."""

    def find(self, image: npt.NDArray[np.uint8]) -> list[FaceBox]:
        return []


def write_film(path: Path) -> None:
    """The film as a file."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, SIZE)
    for number in range(FRAMES):
        writer.write(frame(number)[0])
    writer.release()


def frame(number: int) -> tuple[npt.NDArray[np.uint8], FaceBox]:
    """A frame of it, and where the face is."""
    noise = np.random.default_rng(0).integers(60, 160, (*SIZE[::-1], 3), np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 5), np.uint8)
    scale = 0.9 + 0.25 * np.sin(number / 45)
    cut_out = cv2.resize(cv2.imread(str(PORTRAIT))[0:260, 90:350], None, fx=scale, fy=scale)
    x, y = round(170 + 150 * np.sin(number / 25)), round(90 + 60 * np.cos(number / 40))
    image[y : y + len(cut_out), x : x + cut_out.shape[1]] = cut_out
    side = round(FACE.width * scale)
    return image, FaceBox(round(x + FACE.x * scale), round(y + FACE.y * scale), side, side)


if __name__ == "__main__":
    main()
