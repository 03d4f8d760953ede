"""How long work tells the user that it is alive: a rich bar on a terminal, plain lines elsewhere, always on stderr.

A library function takes ``progress: Progress = silent`` and calls it now and then; a command passes the real one:

    with shown("reading fer2013.csv") as progress:
        load(path, progress=progress)

    with shown_together(["pi4", "pi5"]) as progress_of:     # a line each, told from several threads
        progress_of("pi4")(3, 100, "warm-up")
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence

__all__ = ["Progress", "shown", "shown_together", "silent"]

Progress = Callable[[int, int, str], None]
"""progress(done, total, note): ``done`` of ``total`` units of work, and a short remark such as "loss 1.23"."""

PLAIN_INTERVAL_S = 5.0


def silent(done: int, total: int, note: str = "") -> None:
    """The Progress that shows nothing."""


@contextlib.contextmanager
def shown(title: str) -> Iterator[Progress]:
    """Yield a Progress that writes to stderr under ``title``; NO_COLOR is honoured."""
    with shown_together([title]) as progress_of:
        yield progress_of(title)


@contextlib.contextmanager
def shown_together(titles: Sequence[str]) -> Iterator[Callable[[str], Progress]]:
    """Yield the Progress of each of several works that go on at the same time, by title; each has a line of its own."""
    if sys.stderr is None:  # closed by the shell, or a service
        yield lambda title: silent
    # On a terminal that cannot move its cursor rich would show nothing until the end.
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
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as rich:
        tasks = {title: rich.add_task(title, total=None, note="") for title in titles}

        def progress_of(title: str) -> Progress:
            def progress(done: int, total: int, note: str = "") -> None:
                rich.update(tasks[title], completed=done, total=total, note=note)

            return progress

        yield progress_of


def _plain(title: str) -> Progress:
    last_ns, last_done, last_note = -int(PLAIN_INTERVAL_S * 1e9), 0, ""

    def progress(done: int, total: int, note: str = "") -> None:
        nonlocal last_ns, last_done, last_note
        now_ns = time.monotonic_ns()
        # A step that is done and has its own remark, such as an epoch's result, belongs in a log; the rest only shows
        # life.
        is_result = done > last_done and note != last_note
        if done < total and not is_result and now_ns - last_ns < PLAIN_INTERVAL_S * 1e9:
            return
        last_ns, last_done, last_note = now_ns, done, note
        sys.stderr.write(f"{title}: {done}/{total} {note}".rstrip() + "\n")
        sys.stderr.flush()

    return progress
