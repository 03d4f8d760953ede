"""Where scenes go: lines for programs, a window, the terminal.

    outlet = Lines(sys.stdout)
    outlet.publish(scene)
    outlet.close()

What serves the page (edgefer.live.web) is another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Protocol

import cv2

from edgefer.errors import IncompatibleError
from edgefer.live.frame_result import STAGES, FrameResult, FrameTiming
from edgefer.text_table import percent, table

if TYPE_CHECKING:
    from rich.live import Live as RichLive

__all__ = ["Dashboard", "Lines", "Sink", "Window", "budget_text", "require_window"]

TITLE = "edgefer live"
QUIT_KEYS = {ord("q"), 27}
OPEN_A_WINDOW = "import cv2; cv2.namedWindow('edgefer'); cv2.waitKey(1)"
PATIENCE_S = 20
REFRESH_S = 0.25
MOST_FACES = 3


class Sink(Protocol):
    """Takes scenes."""

    def publish(self, scene: FrameResult) -> None:
        """Take one, without making the next one wait."""

    def close(self) -> None:
        """There is no further one."""


class Lines:
    """A JSON object a scene, each in a line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def publish(self, scene: FrameResult) -> None:
        """As Sink.publish()."""
        self._stream.write(json.dumps(scene.to_json(), allow_nan=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """As Sink.close()."""


class Window:
    """A window that shows the scenes; closing it, q and Escape call ``quit``."""

    def __init__(self, quit: Callable[[], None]) -> None:  # noqa: A002 - it is what it does
        """Raises IncompatibleError where no window can be opened: see require_window()."""
        require_window()
        self._quit, self._shown = quit, False

    def publish(self, scene: FrameResult) -> None:
        """As Sink.publish()."""
        if not self._shown:
            # As large as the picture, and without the buttons that Qt would put above it.
            cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
            self._shown = True
        elif cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self._quit()
            return
        cv2.imshow(TITLE, scene.image)
        if cv2.waitKey(1) & 0xFF in QUIT_KEYS:
            self._quit()

    def close(self) -> None:
        """As Sink.close()."""
        if self._shown:
            cv2.destroyAllWindows()


def require_window() -> None:
    """Find out whether a window can be opened.

    Raises:
        IncompatibleError: no; the message says what mends it.
    """
    elsewhere = "--serve :4912 and a browser, or --jsonl"
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        why = "neither DISPLAY nor WAYLAND_DISPLAY is set"
        raise IncompatibleError("there is no display for a window", why=why, hint=elsewhere)
    # In a process of its own: Qt ends the one in which it finds no display.
    command = [sys.executable, "-c", OPEN_A_WINDOW]
    try:
        tried = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False, text=True)
    except subprocess.TimeoutExpired as error:
        why = f"the display has not answered for {PATIENCE_S} s"
        raise IncompatibleError("no window can be opened", why=why, hint=elsewhere) from error
    if "not implemented" in tried.stderr:
        swap = "pip uninstall opencv-python-headless && pip install 'opencv-python>=4.11,<5'"
        why = "it is opencv-python-headless"
        raise IncompatibleError("this OpenCV has no windows", why=why, hint=f"{swap}; or {elsewhere}")
    if tried.returncode:
        why = (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]
        raise IncompatibleError("no window can be opened", why=why, hint=elsewhere)


class Dashboard:
    """Budget, faces and health on stderr, where that is a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._live: RichLive | None = None
        self._drawn_s = 0.0
        if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console
            from rich.live import Live as RichLive

            self._live = RichLive(console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True)
            self._live.start()

    def publish(self, scene: FrameResult) -> None:
        """As Sink.publish()."""
        if self._live is not None and time.monotonic() - self._drawn_s > REFRESH_S:
            from rich.text import Text

            self._drawn_s = time.monotonic()
            self._live.update(Text(f"{_state(scene)}\n\n{budget_text(scene.budget)}", no_wrap=True), refresh=True)

    def close(self) -> None:
        """As Sink.close()."""
        if self._live is not None:
            self._live.stop()


def budget_text(budget: FrameTiming) -> str:
    """Where the time of a frame goes, as a table and a sentence."""
    stages = {name: getattr(budget, name) for name in STAGES}
    rows = [
        [name, *((f"{stage.p50_ms:.2f}", f"{stage.p90_ms:.2f}", percent(stage.share)) if stage else (None,) * 3)]
        for name, stage in stages.items()
    ]
    return f"{table(['stage', 'p50, ms', 'p90, ms', 'of all'], rows)}\n{budget.sentence()}"


def _state(scene: FrameResult) -> str:
    """Two lines: how fast and how well the device is, and who is there."""
    budget, health = scene.budget, scene.health
    facts = [
        "- fps" if budget.fps is None else f"{budget.fps:.1f} fps",
        f"{budget.dropped:,} passed over",
        f"{scene.age_ms:.0f} ms old",
    ]
    if health.temperature_c is not None:
        facts.append(f"{health.temperature_c:.0f} C")
    if health.throttled:
        facts.append(", ".join(health.throttled))
    faces = [f"{face.track}: {face.label} {face.probability:.0%}" for face in scene.faces[:MOST_FACES]]
    more = [f"and {len(scene.faces) - MOST_FACES} more"] if len(scene.faces) > MOST_FACES else []
    return f"{', '.join(facts)}\n{', '.join(faces + more) or 'no face'}"

