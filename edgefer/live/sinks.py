"""Publish frame results as JSON lines, in a window, or as a terminal dashboard.

    sink = JsonLinesSink(sys.stdout)
    sink.publish(result)
    sink.close()

The web page (edgefer.live.web) is another sink.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Protocol

import cv2

from edgefer.escaping import printable
from edgefer.live.frame_result import STAGES, FrameResult, FrameTiming
from edgefer.live.opencv import require_window
from edgefer.progress import is_stdout_terminal
from edgefer.text_table import percent, table

if TYPE_CHECKING:
    from rich.live import Live as RichLive

__all__ = ["DashboardSink", "JsonLinesSink", "Sink", "WindowSink", "timing_table"]

TITLE = "edgefer live"
QUIT_KEYS = {ord("q"), 27}
REFRESH_S = 0.25
MAX_FACES = 3


class Sink(Protocol):
    """Receiver of frame results."""

    def publish(self, result: FrameResult) -> None:
        """Handle a result without delaying the next one."""

    def close(self) -> None:
        """Release resources; no further result follows."""


class JsonLinesSink:
    """Sink that writes a JSON object per frame, one per line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def publish(self, result: FrameResult) -> None:
        """Write the result and flush the stream."""
        self._stream.write(json.dumps(result.to_json(), allow_nan=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream open; it belongs to the caller."""


class WindowSink:
    """Sink that shows the images in a window."""

    def __init__(self, on_quit: Callable[[], None]) -> None:
        """Check that a window can be opened; the first result opens it.

        Args:
            on_quit: called on q, on Escape, and when the user closes the window.

        Raises:
            IncompatibleError: no window can be opened.
        """
        require_window()
        self._on_quit, self._is_open = on_quit, False

    def publish(self, result: FrameResult) -> None:
        """Show the image and handle keys."""
        if not self._is_open:
            # Open at the size of the image, without Qt's toolbar.
            cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
            self._is_open = True
        elif cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self._on_quit()
            return
        cv2.imshow(TITLE, result.image)
        if cv2.waitKey(1) & 0xFF in QUIT_KEYS:
            self._on_quit()

    def close(self) -> None:
        """Close the window."""
        if self._is_open:
            cv2.destroyAllWindows()


class DashboardSink:
    """Sink that shows stage times, faces and device health on stderr, if it is a terminal."""

    def __init__(self) -> None:
        self._live: RichLive | None = None
        self._refreshed_s = 0.0
        if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console
            from rich.live import Live as RichLive

            self._live = RichLive(
                console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True,
                redirect_stdout=is_stdout_terminal(),
            )  # fmt: skip
            self._live.start()

    def publish(self, result: FrameResult) -> None:
        """Refresh the dashboard, at most four times a second."""
        if self._live is not None and time.monotonic() - self._refreshed_s > REFRESH_S:
            from rich.text import Text

            self._refreshed_s = time.monotonic()
            text = Text(printable(f"{_status(result)}\n\n{timing_table(result.timing)}"), no_wrap=True)
            try:
                self._live.update(text, refresh=True)
            except OSError:  # the terminal was closed
                self._live = None

    def close(self) -> None:
        """Erase the dashboard."""
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()


def timing_table(timing: FrameTiming) -> str:
    """Format the time per stage as a table, followed by its summary sentence."""
    rows: list[list[object]] = []
    for name in STAGES:
        stage = getattr(timing, name)
        cells = (f"{stage.p50_ms:.2f}", f"{stage.p90_ms:.2f}", percent(stage.share)) if stage else (None,) * 3
        rows.append([name, *cells])
    return f"{table(['stage', 'p50, ms', 'p90, ms', 'share'], rows)}\n{timing.sentence()}"


def _status(result: FrameResult) -> str:
    """Format two lines: frame rate and device health, and the faces."""
    timing, health = result.timing, result.health
    facts = [
        "- fps" if timing.fps is None else f"{timing.fps:.1f} fps",
        f"{timing.dropped:,} dropped",
        f"latency {result.age_ms:.0f} ms",
    ]
    if health.temperature_c is not None:
        facts.append(f"{health.temperature_c:.0f} C")
    if health.throttled:
        facts.append(", ".join(health.throttled))
    faces = [f"{face.track}: {face.label} {face.probability:.0%}" for face in result.faces[:MAX_FACES]]
    more = [f"and {len(result.faces) - MAX_FACES} more"] if len(result.faces) > MAX_FACES else []
    return f"{', '.join(facts)}\n{', '.join(faces + more) or 'no face'}"
