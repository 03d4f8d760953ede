"""Run folders: what one training leaves behind, and where the next command finds it.

    run = new_run(Path("runs"), settings)           # runs/20261121-0915-compact_small, and runs/latest points to it
    run = find_run(None)                            # the newest
    run.settings(), run.history()

A run folder holds settings.toml, environment.json, history.csv, best.weights.h5, last.weights.h5, state.npz (all that a
resumed training needs), metrics.json, curves.png and confusion.png, and later the artifacts that were made of it.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgefer import files
from edgefer.data.dataset import Dataset
from edgefer.errors import DataError, UsageError
from edgefer.workstation.training.schedule import Epoch
from edgefer.workstation.training.settings import TrainSettings, from_toml, to_toml

__all__ = ["Run", "find_run", "new_run"]

RUNS = Path("runs")
EPOCH_FIELDS = [item.name for item in dataclasses.fields(Epoch)]
Content = TypeVar("Content")


@dataclass(frozen=True)
class Run:
    """The files of one training, by name."""

    folder: Path

    @property
    def best_weights(self) -> Path:
        """Weights of the best epoch on the selection split."""
        return self.folder / "best.weights.h5"

    @property
    def last_weights(self) -> Path:
        """Weights of the last epoch, as they would be evaluated (averaged, where averaging is on)."""
        return self.folder / "last.weights.h5"

    @property
    def state(self) -> Path:
        """Everything that a resumed training needs, in one file."""
        return self.folder / "state.npz"

    @property
    def parent_weights(self) -> Path:
        """The weights that the training begins from, where it does not begin with random ones."""
        return self.folder / "parent.weights.h5"

    @property
    def parent(self) -> dict[str, Any] | None:
        """Which run the weights were taken from, in plain values; None for a training from scratch."""
        found: dict[str, Any] | None = self._origin().get("parent")
        return found

    @property
    def teachers(self) -> list[dict[str, Any]]:
        """Which runs' answers are learned, in plain values."""
        found: list[dict[str, Any]] = self._origin().get("teachers", [])
        return found

    def _origin(self) -> dict[str, Any]:
        # new_run() alone makes a folder without; it has neither a parent nor teachers.
        return self.environment() if (self.folder / "environment.json").exists() else {}

    def save_baseline(self, epoch: Epoch) -> None:
        """Write down what the parent's weights score, as an epoch 0."""
        scores = {"selection_loss": epoch.selection_loss, "selection_accuracy": epoch.selection_accuracy}
        self.save_json("baseline.json", scores)

    def baseline(self) -> Epoch | None:
        """What the parent's weights score, as an epoch 0; None for a training from scratch."""
        if not (self.folder / "baseline.json").exists():
            return None
        scores = self._read("baseline.json", json.loads)
        unknown = {"learning_rate": 0.0, "loss": float("nan"), "accuracy": float("nan"), "duration_s": 0.0}
        return Epoch(epoch=0, **unknown, **scores)

    def require_weights(self) -> None:
        """Raise DataError unless an epoch has ended."""
        if not self.best_weights.exists():
            hint = f"edgefer train --resume {self.folder}"
            raise DataError(f"{self.folder} holds no weights yet", why="no epoch has ended", hint=hint)

    def progress_note(self) -> str:
        """How far the training has come, in a few words."""
        history, settings = self.history(), self.settings()
        if self.metrics() is not None:
            return f"trained for {len(history)} epoch{'s' * (len(history) != 1)}"
        return f"still at epoch {len(history)} of {settings.epochs}, so the best weights so far"

    def require_data(self, dataset: Dataset) -> None:
        """Raise DataError unless ``dataset`` is what the run was started on."""
        started_on = self.environment()["data"]
        if started_on["sha256"] != dataset.sha256:
            raise DataError(
                f"{self.folder} was trained on other data than {dataset.source}",
                why=f"sha256 {started_on['sha256'][:12]} ({started_on['source']}) against {dataset.sha256[:12]}",
                hint=f"--data {started_on['opened_with']['data']}",
            )

    @property
    def subject(self) -> dict[str, Any]:
        """Which model the best weights are, in plain values, for the records of evaluations."""
        digest = hashlib.sha256(self.best_weights.read_bytes()).hexdigest()
        return {"system": self.settings().system, "scheme": "keras", "sha256": digest}

    def settings(self) -> TrainSettings:
        """The resolved settings of the run; as all that reads the folder, DataError names a file that is damaged."""
        return self._read("settings.toml", from_toml)

    def metrics(self) -> dict[str, Any] | None:
        """What metrics.json holds, or None while the training is not finished."""
        return self._read("metrics.json", json.loads) if (self.folder / "metrics.json").exists() else None

    def environment(self) -> dict[str, Any]:
        """Versions, backend, machine and data of the training."""
        return self._read("environment.json", json.loads)

    def opened_with(self) -> dict[str, Any]:
        """How the data of the run were asked for: data, ferplus and skip_bad_rows."""
        choice: dict[str, Any] = self.environment()["data"]["opened_with"]
        return choice

    def history(self) -> list[Epoch]:
        """The epochs so far; empty before the first has ended."""
        return self._read("history.csv", _parse_history) if (self.folder / "history.csv").exists() else []

    def save_history(self, history: Sequence[Epoch]) -> None:
        """Write history.csv."""
        rows = [",".join(str(value) for value in dataclasses.astuple(epoch)) for epoch in history]
        files.write_text(self.folder / "history.csv", "\n".join([",".join(EPOCH_FIELDS), *rows]) + "\n")

    def save_json(self, name: str, content: dict[str, Any]) -> None:
        """Write ``name`` into the run folder."""
        files.write_text(self.folder / name, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def artifact(self, scheme: str) -> Path:
        """Where the artifact of ``scheme`` belongs."""
        return self.folder / f"{_as_file_name(self.settings().system)}-{scheme}.tflite"

    @contextlib.contextmanager
    def only_trainer(self) -> Iterator[None]:
        """Keep other processes from training in this folder, and clear away what a killed one left half-written.

        The kernel forgets the lock when the process ends, however it ends.

        Raises:
            DataError: another process trains here.
        """
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            self._lock(folder)
            for path in (self.state, self.best_weights, self.last_weights, self.folder / "history.csv"):
                for leftover in self.folder.glob(f".*-{path.name}"):
                    leftover.unlink()
            yield
        finally:
            os.close(folder)

    def _lock(self, folder: int) -> None:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "wait for it, or start another run: edgefer train"
            raise DataError(f"another process is training in {self.folder}", hint=hint) from error
        except OSError:
            # Some network file systems lock no folders; a training there goes unguarded rather than not at all.
            return

    def _read(self, name: str, parse: Callable[[str], Content]) -> Content:
        try:
            return parse((self.folder / name).read_text())
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "put back what edgefer train wrote, or start a new run"
            raise DataError(f"cannot read {self.folder / name}", why=str(error), hint=hint) from error
        except UsageError as error:
            raise DataError(f"{self.folder / name}: {error.what}", why=error.why, hint=error.hint) from error


def _parse_history(text: str) -> list[Epoch]:
    rows = csv.DictReader(io.StringIO(text))
    if list(rows.fieldnames or ()) != EPOCH_FIELDS:
        raise ValueError(f"the columns {', '.join(EPOCH_FIELDS)} were expected")
    return [Epoch(epoch=int(row.pop("epoch")), **{name: float(value) for name, value in row.items()}) for row in rows]


def new_run(root: Path, settings: TrainSettings, *, folder: Path | None = None) -> Run:
    """Make a run folder under ``root`` (or exactly ``folder``), with settings.toml in it, and point root/latest to it.

    Raises:
        DataError: ``folder`` holds a run already, or is no folder.
    """
    if folder is not None:
        if (folder / "settings.toml").exists():
            raise DataError(f"{folder} holds a run already", hint=f"edgefer train --resume {folder}")
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder} is a file", why="a run is a folder", hint="--run FOLDER with another name")
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder = _fresh_folder(root, settings.system)
    files.write_text(folder / "settings.toml", to_toml(settings))
    files.link_to(root / "latest", os.path.relpath(folder.resolve(), root.resolve()))
    return Run(folder)


def _as_file_name(system: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", system)


def _fresh_folder(root: Path, system: str) -> Path:
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{_as_file_name(system)}"
    for suffix in ("", *(f"-{count}" for count in range(2, 1000))):
        folder = root / (stem + suffix)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise DataError(f"no free name for a run in {root}", why=f"{stem} is taken a thousand times")


def find_run(folder: Path | None, *, root: Path = RUNS) -> Run:
    """The run in ``folder``, or the newest one under ``root``.

    Raises:
        DataError: there is no run.
    """
    chosen = folder if folder is not None else root / "latest"
    if not (chosen / "settings.toml").exists():
        if folder is None and chosen.is_symlink():
            why = f"it is a link to {chosen.readlink()}, which is gone"
            raise DataError(f"{chosen} leads nowhere", why=why, hint=f"name one of the runs in {root}/")
        what = f"{folder} is not a run" if folder is not None else f"there is no run in {root}/ yet"
        raise DataError(what, why="a run folder holds settings.toml and weights", hint="edgefer train")
    # The link is followed once, so that a training started meanwhile does not change what this command works on.
    return Run(chosen if folder is not None else Path(os.path.relpath(chosen.resolve())))

