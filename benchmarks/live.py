"""Benchmark live video: frame rate of the whole session, and accuracy of face tracking between detections.

    python benchmarks/live.py --out benchmarks/results/live.json

The input is a synthetic clip of 640 x 480 pixels, in which a portrait (tests/fixtures/astronaut.jpg) moves over a
background. Frame rate: each configuration processes every frame as fast as possible and writes JSON lines.
Configurations alternate over several rounds; median, minimum and maximum are taken over the rounds. Tracking: each
tracker starts at the true box in the first frame, and its boxes are compared with the true ones in all later frames.
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
from edgefer.contract.preprocessing import to_gray
from edgefer.device import description, sysfs
from edgefer.inference.face_detection import FaceBox, FaceDetector
from edgefer.inference.pipeline import Pipeline
from edgefer.live.camera import Source
from edgefer.live.runner import run_live
from edgefer.live.session import Live
from edgefer.live.sinks import JsonLinesSink
from edgefer.live.tracking import Track, Tracker, iou
from edgefer.models import SHIPPED
from edgefer.results import schema

PORTRAIT = Path(__file__).parents[1] / "tests" / "fixtures" / "astronaut.jpg"
FRAMES, SIZE = 300, (640, 480)
# Box that the Haar cascade detects in the cropped portrait.
FACE = FaceBox(71, 59, 111, 111)
FRAME_INTERVAL_NS = 33_333_333
# The first configuration is the default of edgefer live.
CONFIGURATIONS: dict[str, dict[str, int]] = {
    "default": {"detect_every": 5, "search_side": 320},
    "search every frame": {"detect_every": 1, "search_side": 320},
    "search in 640 pixels": {"detect_every": 5, "search_side": 640},
}


def main() -> None:
    """Parse the command line, run the benchmark and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs per configuration")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.avi")
        write_clip(path)
        speed = measure_speed(path, options.rounds)
    trackers = [measure_tracker(name) for name in ("flow", "mil", "none")]
    head = {"model": SHIPPED.name, "device": description.describe(), "opencv": cv2.__version__, "size": [*SIZE]}
    record = {**schema.header("live_speed", 1), **head, "ways": speed, "trackers": trackers}
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")


def measure_speed(path: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure frame rate and stage times of all configurations, which alternate within each round."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONFIGURATIONS}
    for _ in range(rounds):
        for name, configuration in CONFIGURATIONS.items():
            pipeline = Pipeline.open(SHIPPED, longest_side=configuration["search_side"])
            detect_every = configuration["detect_every"]
            live = Live(pipeline, Source("video", str(path)), detect_every=detect_every, every_frame=True)
            load = sysfs.load_average()
            with live, Path(os.devnull).open("w") as output:
                runs[name].append({**run_live(live, [JsonLinesSink(output)]).to_json(), "load_average": load})
    return [
        {
            "name": name,
            **configuration,
            "fps_median": float(np.median([run["fps"] for run in runs[name]])),
            "fps_least": min(run["fps"] for run in runs[name]),
            "fps_most": max(run["fps"] for run in runs[name]),
            "runs": runs[name],
        }
        for name, configuration in CONFIGURATIONS.items()
    ]


def measure_tracker(name: str) -> dict[str, Any]:
    """Measure the latency of a tracker, and the overlap of its boxes with the true ones, without detections.

    Args:
        name: "flow" for edgefer's tracker, "mil" for OpenCV's TrackerMIL, "none" for a box that never moves.
    """
    images, true_boxes = zip(*(render_frame(number) for number in range(FRAMES)))
    tracker = Tracker(FaceDetector(_NullDetector()), detect_every=10**9)
    tracker.update(images[0], to_gray(images[0]), timestamp_ns=0)
    box = true_boxes[0]
    tracker.tracks = (Track.from_detection(0, box),)
    mil = cv2.TrackerMIL.create()
    mil.init(images[0], (box.x, box.y, box.width, box.height))
    latencies_ns, overlaps = [], []
    for number, (image, true_box) in enumerate(zip(images[1:], true_boxes[1:]), 1):
        gray = to_gray(image)
        begin = time.perf_counter_ns()
        if name == "flow":
            tracks = tracker.update(image, gray, timestamp_ns=number * FRAME_INTERVAL_NS)
            box = tracks[0].box if tracks else FaceBox(0, 0, 1, 1)
        elif name == "mil":
            box = FaceBox(*mil.update(image)[1])
        latencies_ns.append(time.perf_counter_ns() - begin)
        overlaps.append(iou(box, true_box))
    overlap_after = {f"overlap_after_{frames}": round(overlaps[frames - 1], 3) for frames in (4, 30, FRAMES - 1)}
    p50_ms = float(np.median(latencies_ns)) / 1e6
    return {"name": name, "p50_ms": round(p50_ms, 3), "overlap_least": round(min(overlaps), 3), **overlap_after}


class _NullDetector:
    """Detector that never detects a face."""

    def detect(self, image: npt.NDArray[np.uint8]) -> list[FaceBox]:
        return []


def write_clip(path: Path) -> None:
    """Write the synthetic clip to a video file."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, SIZE)
    for number in range(FRAMES):
        writer.write(render_frame(number)[0])
    writer.release()


def render_frame(number: int) -> tuple[npt.NDArray[np.uint8], FaceBox]:
    """Render frame ``number`` of the clip, uint8 BGR (480, 640, 3), and return it with the true face box."""
    noise = np.random.default_rng(0).integers(60, 160, (*SIZE[::-1], 3), np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 5), np.uint8)
    scale = 0.9 + 0.25 * np.sin(number / 45)
    portrait = cv2.resize(cv2.imread(str(PORTRAIT))[0:260, 90:350], None, fx=scale, fy=scale)
    x, y = round(170 + 150 * np.sin(number / 25)), round(90 + 60 * np.cos(number / 40))
    image[y : y + len(portrait), x : x + portrait.shape[1]] = portrait
    side = round(FACE.width * scale)
    return image, FaceBox(round(x + FACE.x * scale), round(y + FACE.y * scale), side, side)


if __name__ == "__main__":
    main()
