"""Folder of a search, and the journal of its events, from which an interrupted search continues.

    with SearchFolder(Path("runs/search-nano")).locked() as folder:
        journal = folder.open_journal()
        journal.append({"event": "suggested", "trial": 0, "drawn": {...}})
    trials = replay(folder.events())                # the trials by number

Each event is a line of JSON in journal.jsonl, on the disk before the search acts on it. A process that is killed while
it writes leaves an incomplete last line, which is dropped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import DataError
from edgefer.results import schema
from edgefer.results.architecture_search import FAILED, FINISHED, INVALID, OVER_BUDGET, STOPPED, Trial

__all__ = ["TRIALS", "Journal", "SearchFolder", "apply_event", "find_search", "replay"]

PREFIX = "search-"
REQUEST, JOURNAL, RECORD, TRIALS = "request.json", "journal.jsonl", "search.json", "trials"
STATE_OF = {
    "finished": FINISHED, "stopped": STOPPED, "failed": FAILED, "over_budget": OVER_BUDGET, "invalid": INVALID,
}  # fmt: skip
# Fields of an event that become those of its trial, with their types.
TYPES: Mapping[str, Callable[[schema.Fields, str], object]] = {
    "epochs": schema.Fields.count, "accuracy": schema.Fields.share, "float_accuracy": schema.Fields.share,
    "cost": schema.Fields.amount, "device": schema.Fields.text, "file_bytes": schema.Fields.count,
    "graph": schema.Fields.text, "duration_s": schema.Fields.amount, "run": schema.Fields.text,
    "reason": schema.Fields.text, "warnings": schema.Fields.texts,
}  # fmt: skip
# Kinds of events, with the fields that the search reads.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "suggested": (), "judged": ("cost",), "epoch": ("epochs", "float_accuracy"), "finished": ("accuracy",),
    "stopped": (), "failed": ("reason",), "over_budget": (), "invalid": ("reason",),
}  # fmt: skip


class Journal:
    """An open journal; the file never loses an event that append() has written."""

    def __init__(self, path: Path) -> None:
        """Open the journal, and remove an incomplete last line."""
        self._file = path.open("ab")
        content = path.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            self._file.truncate(complete)

    def append(self, event: Mapping[str, Any]) -> None:
        """Write an event to the disk."""
        self._file.write(json.dumps(event, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True)
class SearchFolder:
    """Files of a search: request.json, journal.jsonl, search.json, and the run folders of its trials in trials/."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the search: that of the folder, without "search-"."""
        return self.path.resolve().name.removeprefix(PREFIX)

    @property
    def record(self) -> Path:
        """Path of the result, which ``edgefer report`` shows."""
        return self.path / RECORD

    @property
    def trials(self) -> Path:
        """Folder of the run folders."""
        return self.path / TRIALS

    def exists(self) -> bool:
        """Return True if the folder contains a search."""
        return (self.path / REQUEST).exists()

    def write_request(self, request: Mapping[str, Any]) -> None:
        """Write the request of the search."""
        text = json.dumps({**schema.header("search_request", 1), **request}, indent=1, allow_nan=False)
        files.write_text(self.path / REQUEST, text + "\n")

    def request(self) -> schema.Fields:
        """Read the request of the search.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self.path / REQUEST
        try:
            return schema.read(schema.parse_json(path.read_bytes()), "search_request", 1)
        except OSError as error:
            hint = "edgefer search SPACE.toml"
            raise DataError(f"{self.path} contains no search", why=f"no {REQUEST}", hint=hint) from error
        except DataError as error:
            raise DataError(f"{path}: {error.what}", why=error.why, hint="restore the file") from error

    def open_journal(self) -> Journal:
        """Open the journal for writing; the caller holds the lock."""
        return Journal(self.path / JOURNAL)

    def events(self) -> list[dict[str, Any]]:
        """Read the events, without an incomplete last line.

        Raises:
            DataError: a line is damaged, or does not fit the lines before it.
        """
        path = self.path / JOURNAL
        content = path.read_bytes() if path.exists() else b""
        events: list[dict[str, Any]] = []
        trials: dict[int, Trial] = {}
        for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
            try:
                event = schema.Fields(schema.parse_json(line))
                _check_event(event, trials)
                events.append(event.to_plain())
                apply_event(trials, events[-1])
            except DataError as error:
                hint = f"restore the file, or remove {self.path} and search again"
                raise DataError(f"line {number} of {path} is damaged", why=str(error), hint=hint) from error
        return events

    @contextlib.contextmanager
    def locked(self) -> Iterator[SearchFolder]:
        """Hold the lock of the search; the kernel releases it when the process ends for any reason.

        Raises:
            DataError: another process searches in the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                hint = f"watch it: edgefer search --show {shlex.quote(str(self.path))}"
                raise DataError(f"another process searches in {self.path}", hint=hint) from error
            except OSError:  # some network file systems have no locks
                pass
            yield self
        finally:
            os.close(handle)


def find_search(name: str | None, *, root: Path) -> SearchFolder:
    """Return the search in a folder or of a name, or the newest search in ``root``.

    Raises:
        DataError: no such search exists.
    """
    if name is not None:
        for path in (Path(name), root / f"{PREFIX}{name}"):
            if SearchFolder(path).exists():
                return SearchFolder(path)
    searches = sorted(root.glob(f"{PREFIX}*/{JOURNAL}"), key=lambda path: path.stat().st_mtime)
    names = [path.parent.name.removeprefix(PREFIX) for path in searches if SearchFolder(path.parent).exists()]
    if not names:
        raise DataError(f"{root}/ contains no search", hint="edgefer search SPACE.toml")
    if name is not None:
        raise DataError(f"no search {name!r} in {root}/", why=f"it has {', '.join(names)}", hint=f"use {names[-1]!r}")
    return SearchFolder(root / f"{PREFIX}{names[-1]}")


def replay(events: Iterable[Mapping[str, Any]]) -> dict[int, Trial]:
    """Return the trials after ``events``, by number."""
    trials: dict[int, Trial] = {}
    for event in events:
        apply_event(trials, event)
    return trials


def _check_event(event: schema.Fields, trials: Mapping[int, Trial]) -> None:
    """Check an event of a file.

    Args:
        event: the event.
        trials: the trials after the events before it.

    Raises:
        DataError: a field is missing or has another type, or the event does not fit the earlier ones.
    """
    kind, number = event.text("event"), event.count("trial")
    if kind not in REQUIRED:
        raise event.invalid("event", f"one of {', '.join(REQUIRED)}")
    if kind == "suggested":
        event.plain("drawn")
        return
    if number not in trials:
        raise event.invalid("trial", "a trial that an earlier line suggests")
    for name, read in TYPES.items():
        if name in REQUIRED[kind] or event.get(name) is not None:
            read(event, name)
    if kind == "finished" and trials[number].cost is None:
        raise event.invalid("trial", "a trial whose cost an earlier line has")


def apply_event(trials: dict[int, Trial], event: Mapping[str, Any]) -> None:
    """Apply one event to the trials."""
    number, kind = event["trial"], event["event"]
    if kind == "suggested":
        trials[number] = Trial(number, event["drawn"])
        return
    changes = {name: value for name, value in event.items() if name in TYPES}
    if "warnings" in changes:
        changes["warnings"] = tuple(changes["warnings"])
    state = STATE_OF.get(kind, trials[number].state)
    trials[number] = dataclasses.replace(trials[number], state=state, **changes)
