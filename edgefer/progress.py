"""Report progress on stderr: a bar on a terminal, plain lines elsewhere.

A library function takes ``progress: Progress = silent`` and calls it regularly. A command passes a progress bar:

    with progress_bar("reading fer2013.csv") as progress:
        load(path, progress=progress)

    with progress_bars(["pi4", "pi5"]) as progress_of:      # one bar each, updated from several threads
        progress_of("pi4")(3, 100, "warm-up")
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from edgefer.escaping import printable

__all__ = ["Progress", "is_stdout_terminal", "progress_bar", "progress_bars", "silent"]

Progress = Callable[[int, int, str], None]
"""progress(done, total, note): ``done`` of ``total`` units of work, and a short remark such as "loss 1.23"."""

PLAIN_INTERVAL_S = 5.0


def silent(done: int, total: int, note: str = "") -> None:
    """Report nothing."""


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Yield a Progress that writes to stderr under ``title``; the variable NO_COLOR disables colors."""
    with progress_bars([title]) as progress_of:
        yield progress_of(title)


@contextlib.contextmanager
def progress_bars(titles: Sequence[str]) -> Iterator[Callable[[str], Progress]]:
    """Yield a function that returns the Progress of a title, for tasks that run in parallel; each has its own line."""
    if sys.stderr is None:  # closed by the shell or a service manager
        yield lambda title: silent
    # On a terminal without cursor movement, rich displays nothing until the end.
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _bars(titles) as progress_of:
            yield progress_of
    else:
        lines = {title: _plain(title) for title in titles}
        yield lines.__getitem__


@contextlib.contextmanager
def _bars(titles: Sequence[str]) -> Iterator[Callable[[str], Progress]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress as RichProgress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with RichProgress(*columns, console=Console(stderr=True), redirect_stdout=is_stdout_terminal()) as rich:
        tasks = {title: rich.add_task(printable(title, kept=""), total=None, note="") for title in titles}

        def progress_of(title: str) -> Progress:
            def progress(done: int, total: int, note: str = "") -> None:
                rich.update(tasks[title], completed=done, total=total, note=printable(note, kept=""))

            return progress

        yield progress_of


def is_stdout_terminal() -> bool:
    """Return True if stdout is a terminal.

    Otherwise rich must not redirect it: while it draws on stderr, it would print data for a file or a pipe there.
    """
    return sys.stdout is not None and sys.stdout.isatty()


def _plain(title: str) -> Progress:
    last_ns, last_done, last_note = -int(PLAIN_INTERVAL_S * 1e9), 0, ""

    def progress(done: int, total: int, note: str = "") -> None:
        nonlocal last_ns, last_done, last_note
        now_ns = time.monotonic_ns()
        # A log keeps every completed step with a note of its own, such as the result of an epoch. Other updates are
        # reported at intervals.
        is_result = done > last_done and note != last_note
        if done < total and not is_result and now_ns - last_ns < PLAIN_INTERVAL_S * 1e9:
            return
        last_ns, last_done, last_note = now_ns, done, note
        line = f"{title}: {done}/{total} {note}".rstrip()
        sys.stderr.write(printable(line, kept="") + "\n")
        sys.stderr.flush()

    return progress
