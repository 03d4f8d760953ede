"""Recognize expressions in live video."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer import plugins
from edgefer.cli.foreign import FeedOptions, feed_options_without_data, find_contract, recorded_path
from edgefer.cli.options import (
    MODEL_HELP,
    PATH,
    POSITIVE,
    RUNTIMES,
    SECONDS,
    FiniteRange,
    detector_options,
    is_given,
    log,
    option_group,
    optional_flag,
)
from edgefer.cli.outputs import INPUT
from edgefer.cli.streams import write
from edgefer.data.naming import counted
from edgefer.errors import IncompatibleError, UsageError
from edgefer.results import schema
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.inference.pipeline import Pipeline
    from edgefer.live.camera import Source
    from edgefer.live.runner import LiveSummary
    from edgefer.live.session import Live
    from edgefer.live.sinks import Sink

# Sources that determine the size of their frames.
UNSIZED = ("video", "stream")
CAMERAS = ", ".join(plugins.names("edgefer.live.cameras"))


def parse_size(text: str) -> tuple[int, int]:
    """Parse width and height in pixels, such as 640x480."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise UsageError(f"--size {text}", why="expected width and height", hint="--size 640x480")
    return int(match[1]), int(match[2])


@dataclass(frozen=True)
class SourceOptions:
    """Options of the frame source; at most one of camera, video and stream is set.

    Attributes:
        camera: camera number, or KIND[:WHICH].
        video: path of a video file.
        stream: URL of a network camera.
        size: width and height to request from a camera, pixels.
        every_frame: process every frame of a video.
    """

    camera: str | None
    video: str | None
    stream: str | None
    size: tuple[int, int]
    every_frame: bool


@dataclass(frozen=True)
class PipelineOptions:
    """Options of the classifier, the face detector, tracking and smoothing."""

    model: Path | None
    runtime: str | None
    threads: int
    detector: str
    detector_model: Path | None
    detect_every: int
    search_side: int
    time_constant_s: float
    min_confidence: float


@dataclass(frozen=True)
class OutputOptions:
    """Options for the output of results.

    Attributes:
        window: show a window; None shows one if there is a display and no other output is selected.
        jsonl: write JSON lines to stdout.
        serve: address of the web page, or None.
        token: access token of the web page, or None.
    """

    window: bool | None
    jsonl: bool
    serve: str | None
    token: str | None


source_options = option_group(
    "source_options",
    SourceOptions,
    click.option("--camera", metavar="N|KIND", help=f"Camera number, or KIND[:WHICH] of {CAMERAS}.  [default: 0]"),
    click.option("--video", type=INPUT, metavar="FILE", help="Play a video file at its own frame rate."),
    click.option(
        "--stream", metavar="URL", help="Read a network camera: rtsp:// or http://.  [default: $EDGEFER_STREAM]"
    ),
    click.option(
        "--size", type=parse_size, default="640x480", show_default=True, metavar="WxH",
        help="Frame size to request from the camera.",
    ),
    click.option("--every-frame", is_flag=True, help="Process every frame of a video, as fast as possible."),
)  # fmt: skip
pipeline_options = option_group(
    "pipeline_options",
    PipelineOptions,
    click.option("--model", type=PATH, metavar="FILE", help=MODEL_HELP),
    click.option("--runtime", metavar="NAME", help=f"Runtime: {RUNTIMES}.  [default: the best installed]"),
    click.option(
        "--threads", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Threads of the model."
    ),
    detector_options,
    click.option(
        "--detect-every", type=click.IntRange(1), default=5, show_default=True, metavar="K",
        help="Detect faces in every K-th frame and track them in between.",
    ),
    click.option(
        "--search-side", type=click.IntRange(48), default=320, show_default=True, metavar="PIXELS",
        help="Longest side of the image for face detection; a smaller one is faster but misses small faces.",
    ),
    click.option(
        "--smooth", "time_constant_s", type=SECONDS, default=0.5, show_default=True, metavar="S",
        help="Time constant of label smoothing, seconds; 0 disables it.",
    ),
    click.option(
        "--min-confidence", type=FiniteRange(0, 1), default=0.5, show_default=True, metavar="P",
        help="Label a face 'unsure' below this probability.",
    ),
)  # fmt: skip
output_options = option_group(
    "output",
    OutputOptions,
    optional_flag("--window/--no-window", help="Show a window.  [default: if there is a display]"),
    click.option("--jsonl", is_flag=True, help="Write one JSON object per frame to stdout."),
    click.option("--serve", metavar="[HOST]:PORT", help="Serve a web page; with a HOST, to the network."),
    click.option(
        "--token", metavar="TEXT",
        help="Access token of the web page.  [default: $EDGEFER_TOKEN, else generated]",
    ),
)  # fmt: skip


@click.command()
@source_options
@pipeline_options
@feed_options_without_data
@output_options
@click.option("--frames", type=click.IntRange(1), metavar="N", help="Stop after N frames.")
@click.option("--seconds", type=POSITIVE, metavar="S", help="Stop after S seconds.")
def command(
    source_options: SourceOptions, pipeline_options: PipelineOptions, feed: FeedOptions, output: OutputOptions,
    frames: int | None, seconds: float | None,
) -> Result:  # fmt: skip
    """Detect the faces in live video and classify the expression of each, frame by frame.

    Live mode always processes the newest frame; slow devices skip frames. Faces are tracked between detections, and
    their labels are smoothed over time. A camera that was disconnected is reopened. Press Ctrl-C to stop. SIGTERM and
    SIGHUP stop it too, with exit code 143 and 129.

    \b
    Example:
        edgefer live --camera 0
        edgefer live --camera picamera2 --serve 0.0.0.0:4912
        edgefer live --video clip.mp4 --every-frame --jsonl
        edgefer live --stream rtsp://192.168.0.20/h264 --seconds 60
    """
    from edgefer.cli.main import common_options
    from edgefer.live.opencv import require_opencv
    from edgefer.live.redaction import hide_arguments

    hide_arguments(token=output.token, address=source_options.stream)
    if output.jsonl and common_options().as_json:
        hint = "leave one out; --out FILE writes the JSON to a file"
        raise UsageError("--jsonl with --json", why="only one output format is possible", hint=hint)
    require_opencv()
    from edgefer.live.runner import run_live, stop_on_signals
    from edgefer.live.session import Live

    path = find_contract(pipeline_options.model, feed)
    source, has_window = _find_source(source_options), _has_window(output)
    live = Live(
        _open_pipeline(path, pipeline_options),
        source,
        detect_every=pipeline_options.detect_every,
        time_constant_s=pipeline_options.time_constant_s,
        min_confidence=pipeline_options.min_confidence,
        every_frame=source_options.every_frame,
        draw=has_window,
        log=log,
    )
    with _serve(output, annotated=has_window) as pages, live, stop_on_signals(live.stop) as received:
        log(f"source: {source}; press Ctrl-C to stop")
        summary = run_live(live, [*pages, *_sinks(live, has_window, output.jsonl)], frames=frames, seconds=seconds)
    model = recorded_path(pipeline_options.model, path, feed)
    record = {**schema.header("live", 1), "model": model, "source": str(source), **summary.to_json()}
    if output.jsonl:
        write(_describe(summary), to_stderr=True)
    return Result(record, "" if output.jsonl else _describe(summary), failure=received.error)


def _find_source(options: SourceOptions) -> Source:
    from edgefer.live.camera import default_stream, find_source

    stream = options.stream
    if options.camera is None and options.video is None:
        stream = default_stream() if stream is None else stream
    source = find_source(camera=options.camera, video=options.video, stream=stream, size=options.size)
    if options.every_frame and source.live:
        what = f"--every-frame with {source}"
        raise UsageError(what, why="a camera does not wait for processing", hint="omit it, or use --video FILE")
    if is_given("size") and source.kind in UNSIZED:
        raise UsageError(f"--size with {source}", why="only cameras take a frame size", hint="omit --size")
    return source


def _open_pipeline(model: Path, options: PipelineOptions) -> Pipeline:
    from edgefer.inference.classifier import Classifier
    from edgefer.inference.face_detection import FaceDetector
    from edgefer.inference.pipeline import Pipeline

    classifier = Classifier.open(model, runtime=options.runtime, threads=options.threads)
    detector = FaceDetector.open(options.detector, model=options.detector_model, longest_side=options.search_side)
    return Pipeline(classifier, detector)


def _has_window(output: OutputOptions) -> bool:
    """Decide whether to open a window; only an explicit --window fails without a display."""
    from edgefer.live.opencv import require_window

    if output.window:
        require_window()
        return True
    if output.window is not None or output.jsonl or output.serve:
        return False
    try:
        require_window()
    except IncompatibleError as error:
        write(f"no window: {error}", to_stderr=True)
        return False
    return True


def _sinks(live: Live, has_window: bool, jsonl: bool) -> list[Sink]:
    from edgefer.live.sinks import DashboardSink, JsonLinesSink, WindowSink
    from edgefer.live.systemd_notify import HeartbeatSink

    sinks: list[Sink] = [HeartbeatSink(disconnects=lambda: live.disconnects)]
    # JSON lines on the same terminal would overwrite the dashboard.
    stdout = sys.stdout if jsonl else None  # None too if it was closed by the shell or a service manager
    if stdout is None or not stdout.isatty():
        sinks.append(DashboardSink())
    if stdout is not None:
        sinks.append(JsonLinesSink(stdout))
    return [*sinks, WindowSink(live.stop)] if has_window else sinks


@contextlib.contextmanager
def _serve(output: OutputOptions, *, annotated: bool) -> Iterator[list[Sink]]:
    """Yield the web page as a sink; an empty list without --serve."""
    if output.serve is None:
        if output.token is not None:
            raise UsageError("--token without --serve", why="there is no page to protect", hint="--serve :4912")
        yield []
        return
    from edgefer.live.web import Address, serving

    token = output.token or os.environ.get("EDGEFER_TOKEN") or None
    with serving(Address.parse(output.serve), token=token, annotated=annotated, log=log) as page:
        log(f"page: {page.url}")
        yield [page]


def _describe(summary: LiveSummary) -> str:
    from edgefer.live.sinks import timing_table

    if summary.age_ms is None:
        return "no frame was received"
    lines = [f"faces in {summary.frames_with_faces:,} of {summary.frames:,} frames, {summary.tracks:,} tracks"]
    lines.append(f"{summary.fps:.1f} fps, {summary.timing.dropped:,} frames skipped" if summary.fps else "one frame")
    lines.append("frame age when published, p50 and p90: {:.0f} and {:.0f} ms".format(*summary.age_ms))
    if summary.max_age_in_frames is not None:
        lines.append(f"highest frame age: {summary.max_age_in_frames:.1f} frame times")
    if summary.disconnects:
        lines.append(f"the camera was disconnected {counted(summary.disconnects, 'time')}")
    return "\n".join([*lines, "", timing_table(summary.timing)])
