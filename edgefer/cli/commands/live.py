"""edgefer live"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer import plugins
from edgefer.cli.options import PATH, RUNTIMES, say
from edgefer.errors import IncompatibleError, UsageError
from edgefer.results import schema
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.inference.pipeline import Pipeline
    from edgefer.live.camera import Source
    from edgefer.live.runner import LiveSummary
    from edgefer.live.session import Live
    from edgefer.live.sinks import Sink

CAMERAS = ", ".join(plugins.names("edgefer.live.cameras"))
DETECTORS = ", ".join(plugins.names("edgefer.inference.detectors"))


@click.command(short_help="Name the expressions before a camera.")
@click.option("--camera", metavar="N|KIND", help=f"Its number, or KIND[:WHICH], of {CAMERAS}.  [default: 0]")
@click.option("--video", metavar="FILE", help="A video, at its own rate.")
@click.option("--stream", metavar="ADDRESS", help="A camera on the network: rtsp://, http://.")
@click.option("--size", default="640x480", show_default=True, metavar="WxH", help="What to ask of the camera.")
@click.option("--every-frame", is_flag=True, help="Of a video, pass over no frame, as fast as it goes.")
@click.option("--model", type=PATH, metavar="FILE", help="A .tflite.  [default: the newest, else the one that ships]")
@click.option("--detector", default="haar", show_default=True, metavar="NAME", help=f"What finds faces: {DETECTORS}.")
@click.option("--detector-model", type=PATH, metavar="FILE", help="The file that the detector needs.")
@click.option("--detect-every", type=click.IntRange(1), default=5, show_default=True, metavar="K", help="Search every "
              "K-th frame, and follow the faces in between.")  # fmt: skip
@click.option("--search-side", type=click.IntRange(48), default=320, show_default=True, metavar="PIXELS",
              help="Search in a copy of that size; smaller is faster and misses small faces.")  # fmt: skip
@click.option("--smooth", "time_constant_s", type=click.FloatRange(0), default=0.5, show_default=True, metavar="S",
              help="The time constant of the labels, seconds; 0 for none.")  # fmt: skip
@click.option("--min-confidence", "unsure_below", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="P",
              help="Say 'unsure' where no expression is that probable.")  # fmt: skip
@click.option("--window/--no-window", default=None, help="Show it.  [default: where there is a display]")
@click.option("--jsonl", is_flag=True, help="Write a JSON object a frame to stdout.")
@click.option("--serve", metavar="[HOST]:PORT", help="Show it as a web page; with a HOST, to others too.")
@click.option("--token", metavar="TEXT", help="What viewers of the page have to know.  [default: $EDGEFER_TOKEN, else "
              "made up where a HOST is named]")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), metavar="N", help="Stop after so many.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Stop after so long.")
@click.option("--runtime", metavar="NAME", help=f"One of {RUNTIMES}.  [default: the best installed]")
@click.option("--threads", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Of the model.")
def command(**options: Any) -> Result:
    """Find the faces before a camera and name the expression of each, frame by frame.

    It shows the newest frame, never an older one, and where its time goes. Faces are followed from frame to frame, and
    their labels are smoothed over time. A camera that is unplugged is opened again. Ctrl-C ends it.

    \b
    Example:
        edgefer live --camera 0
        edgefer live --camera picamera2 --serve 0.0.0.0:4912
        edgefer live --video clip.mp4 --every-frame --jsonl
        edgefer live --stream rtsp://192.168.0.20/h264 --seconds 60
    """
    from edgefer.live.runner import run_live, stopped_by_signals
    from edgefer.live.session import Live
    from edgefer.models import find_model

    path, reason = find_model(options["model"])
    say(f"model: {path} ({reason})")
    source, has_window = _source(options), _has_window(options)
    chosen = {name: options[name] for name in ("detect_every", "time_constant_s", "unsure_below", "every_frame")}
    live = Live(_pipeline(path, options), source, draw=has_window, tell=say, **chosen)
    with _page(options, drawn=has_window) as pages, live, stopped_by_signals(live.stop):
        say(f"source: {source}; Ctrl-C ends it")
        outlets = [*pages, *_outlets(live, has_window, options)]
        shown = run_live(live, outlets, frames=options["frames"], seconds=options["seconds"])
    record = {**schema.header("live", 1), "model": str(path), "source": str(source), **shown.to_json()}
    if options["jsonl"]:
        say(_text(shown))
    return Result(record, "" if options["jsonl"] else _text(shown))


def _source(options: dict[str, Any]) -> Source:
    from edgefer.live.camera import find_source

    size = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", options["size"])
    if not size:
        raise UsageError(f"--size {options['size']}", why="width and height were expected", hint="--size 640x480")
    named = {name: options[name] for name in ("camera", "video", "stream")}
    source = find_source(**named, size=(int(size[1]), int(size[2])))
    if options["every_frame"] and source.live:
        why = "a camera waits for nobody"
        raise UsageError(f"--every-frame of {source}", why=why, hint="leave it out, or --video FILE")
    return source


def _pipeline(path: Path, options: dict[str, Any]) -> Pipeline:
    from edgefer.inference.classifier import Classifier
    from edgefer.inference.face_detection import FaceDetector
    from edgefer.inference.pipeline import Pipeline

    classifier = Classifier.open(path, runtime=options["runtime"], threads=options["threads"])
    side = options["search_side"]
    return Pipeline(
        classifier, FaceDetector.open(options["detector"], model=options["detector_model"], longest_side=side)
    )


def _has_window(options: dict[str, Any]) -> bool:
    """Whether to open one; where nobody asked, a display that is missing is told and no error."""
    from edgefer.live.sinks import require_window

    if options["window"] is None and not (options["jsonl"] or options["serve"]):
        try:
            require_window()
        except IncompatibleError as error:
            say(f"no window: {error}")
            return False
        return True
    if options["window"]:
        require_window()
    return bool(options["window"])


def _outlets(live: Live, has_window: bool, options: dict[str, Any]) -> list[Sink]:
    from edgefer.live.sinks import Dashboard, Lines, Window
    from edgefer.live.systemd_notify import Heartbeat

    outlets: list[Sink] = [Heartbeat(losses=lambda: live.grabber.losses)]
    # On a terminal that the lines go to, they would run over each other.
    if not (options["jsonl"] and sys.stdout.isatty()):
        outlets.append(Dashboard())
    if options["jsonl"]:
        outlets.append(Lines(sys.stdout))
    return [*outlets, Window(live.stop)] if has_window else outlets


@contextlib.contextmanager
def _page(options: dict[str, Any], *, drawn: bool) -> Iterator[list[Sink]]:
    """The page as an outlet, where one was asked for."""
    if options["serve"] is None:
        if options["token"] is not None:
            raise UsageError("--token without --serve", why="there is no page to guard", hint="--serve :4912")
        yield []
        return
    from edgefer.live.web import Address, serving

    token = options["token"] or os.environ.get("EDGEFER_TOKEN") or None
    with serving(Address.parse(options["serve"]), token=token, drawn=drawn, tell=say) as page:
        say(f"page: {page.url}")
        yield [page]


def _text(shown: LiveSummary) -> str:
    from edgefer.live.sinks import budget_text

    if shown.ages_ms is None:
        return "no frame came"
    faces = f"faces in {shown.with_faces:,} of {shown.frames:,} frames, {shown.tracks:,} followed"
    pace = f"{shown.fps:.1f} fps, {shown.budget.dropped:,} frames passed over" if shown.fps else "one frame"
    lost = f"the camera was gone {shown.losses:,} times\n" if shown.losses else ""
    age = "how old a frame was when it was shown, p50 and p90: {:.0f} and {:.0f} ms".format(*shown.ages_ms)
    if shown.oldest_frame_times is not None:
        age += f"\nthe oldest was {shown.oldest_frame_times:.1f} frame times old"
    return f"{faces}\n{pace}\n{age}\n{lost}\n{budget_text(shown.budget)}"
