"""Run folders: what one training leaves behind, and where the next command finds it.

    run = new_run(Path("runs"), settings)           # runs/20261121-0915-compact_small, and runs/latest points to it
    run = find_run(None)                            # the newest
    run.settings(), run.history()

A run folder holds settings.toml, environment.json, history.csv, best.weights.h5, last.weights.h5, state.npz (all that a
resumed training needs), metrics.json, curves.png and confusion.png, and later the artefacts that were made of it.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer import atomic
from edgefer.errors import DataError
from edgefer.workstation.dataset import Dataset
from edgefer.workstation.schedule import Epoch
from edgefer.workstation.settings import TrainSettings, from_toml, to_toml

__all__ = ["Run", "find_run", "new_run"]

RUNS = Path("runs")


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

    def require_weights(self) -> None:
        """Raise DataError unless an epoch has ended."""
        if not self.best_weights.exists():
            fix = f"edgefer train --resume {self.folder}"
            raise DataError(f"{self.folder} holds no weights yet", why="no epoch has ended", fix=fix)

    def progress_note(self) -> str:
        """How far the training has come, in a few words."""
        history, settings = self.history(), self.settings()
        if self.metrics() is not None:
            return f"trained for {len(history)} epochs"
        return f"still at epoch {len(history)} of {settings.epochs}, so the best weights so far"

    def require_data(self, dataset: Dataset) -> None:
        """Raise DataError unless ``dataset`` is what the run was started on."""
        started_on = self.environment()["data"]
        if started_on["sha256"] != dataset.sha256:
            raise DataError(
                f"{self.folder} was trained on other data than {dataset.source}",
                why=f"sha256 {started_on['sha256'][:12]} ({started_on['source']}) against {dataset.sha256[:12]}",
                fix=f"--data {started_on['opened_with']['data']}",
            )

    @property
    def subject(self) -> dict[str, Any]:
        """Which model the best weights are, in plain values, for the records of evaluations."""
        digest = hashlib.sha256(self.best_weights.read_bytes()).hexdigest()
        return {"system": self.settings().system, "scheme": "keras", "sha256": digest}

    def settings(self) -> TrainSettings:
        """The resolved settings of the run."""
        return from_toml((self.folder / "settings.toml").read_text())

    def metrics(self) -> dict[str, Any] | None:
        """What metrics.json holds, or None while the training is not finished."""
        path = self.folder / "metrics.json"
        return json.loads(path.read_text()) if path.exists() else None

    def environment(self) -> dict[str, Any]:
        """Versions, backend, machine and data of the training."""
        facts: dict[str, Any] = json.loads((self.folder / "environment.json").read_text())
        return facts

    def opened_with(self) -> dict[str, Any]:
        """How the data of the run were asked for: data, ferplus and skip_bad_rows."""
        choice: dict[str, Any] = self.environment()["data"]["opened_with"]
        return choice

    def history(self) -> list[Epoch]:
        """The epochs so far; empty before the first has ended."""
        path = self.folder / "history.csv"
        if not path.exists():
            return []
        rows = csv.DictReader(io.StringIO(path.read_text()))
        return [Epoch(epoch=int(row.pop("epoch")), **{name: float(text) for name, text in row.items()}) for row in rows]

    def save_history(self, history: Sequence[Epoch]) -> None:
        """Write history.csv."""
        names = [item.name for item in dataclasses.fields(Epoch)]
        rows = [",".join(str(value) for value in dataclasses.astuple(epoch)) for epoch in history]
        atomic.write_text(self.folder / "history.csv", "\n".join([",".join(names), *rows]) + "\n")

    def save_json(self, name: str, content: dict[str, Any]) -> None:
        """Write ``name`` into the run folder."""
        atomic.write_text(self.folder / name, json.dumps(content, indent=1) + "\n")

    def artefact(self, scheme: str) -> Path:
        """Where the artefact of ``scheme`` belongs."""
        return self.folder / f"{self.settings().system}-{scheme}.tflite"


def new_run(root: Path, settings: TrainSettings, *, folder: Path | None = None) -> Run:
    """Make a run folder under ``root`` (or exactly ``folder``), with settings.toml in it, and point root/latest to it.

    Raises:
        DataError: ``folder`` holds a run already.
    """
    if folder is not None:
        if (folder / "settings.toml").exists():
            raise DataError(f"{folder} holds a run already", fix=f"edgefer train --resume {folder}")
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder = _fresh_folder(root, settings.system)
    atomic.write_text(folder / "settings.toml", to_toml(settings))
    atomic.link_to(root / "latest", os.path.relpath(folder.resolve(), root.resolve()))
    return Run(folder)


def _fresh_folder(root: Path, system: str) -> Path:
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9_.-]', '_', system)}"
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
        what = f"{folder} is not a run" if folder is not None else f"there is no run in {root}/ yet"
        raise DataError(what, why="a run folder holds settings.toml and weights", fix="edgefer train")
    # The link is followed once, so that a training started meanwhile does not change what this command works on.
    return Run(chosen if folder is not None else Path(os.path.relpath(chosen.resolve())))

