"""Run folders: create, find and read the output of a training.

    run = new_run(Path("runs"), settings)           # runs/20261121-091500-compact_small; runs/latest links to it
    run = find_run(None)                            # the newest run
    run.settings(), run.history()

A run folder contains settings.toml, environment.json, history.csv, best.weights.h5, last.weights.h5, state.npz (the
resumable state), metrics.json, curves.png and confusion.png. Quantization adds the artifacts.
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
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgefer import files
from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset
from edgefer.data.naming import counted
from edgefer.errors import DataError, UsageError
from edgefer.file_kinds import IMPORTED_NETWORK, RUN, command_for, describe_kind
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.workstation.training.architecture_file import (
    STORED_NAME,
    is_file_architecture,
    register_source,
    source_of,
)
from edgefer.workstation.training.schedule import Epoch, ValidationScore
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import from_toml, to_toml

__all__ = ["RUNS", "Run", "check_new_folder", "find_run", "new_run"]

RUNS = Path("runs")
EPOCH_FIELDS = [item.name for item in dataclasses.fields(Epoch)]
RESTORE = "restore the file that edgefer train wrote, or start a new run: edgefer train"
# Files of a training, whose temporary files a killed process may leave.
WRITTEN_IN_TRAINING = (
    "state.npz", "best.weights.h5", "last.weights.h5", "history.csv", "baseline.json", "metrics.json", "curves.png",
    "confusion.png",
)  # fmt: skip
Content = TypeVar("Content")


@dataclass(frozen=True)
class Run:
    """Files of one training."""

    folder: Path

    @property
    def best_weights(self) -> Path:
        """Path of the weights of the best epoch on the validation split."""
        return self.folder / "best.weights.h5"

    @property
    def architecture(self) -> Path:
        """Path of the source of an architecture that is not in the catalog."""
        return self.folder / STORED_NAME

    @property
    def resume_command(self) -> str:
        """Command that continues the training."""
        return f"edgefer train --resume {shlex.quote(str(self.folder))}"

    @property
    def restart_command(self) -> str:
        """Command that trains a new run with the same settings."""
        return f"edgefer train --settings {shlex.quote(str(self.folder / 'settings.toml'))}   (a new run)"

    @property
    def last_weights(self) -> Path:
        """Path of the weights of the last epoch, averaged if averaging is enabled."""
        return self.folder / "last.weights.h5"

    @property
    def state(self) -> Path:
        """Path of the complete state for resuming."""
        return self.folder / "state.npz"

    @property
    def parent_weights(self) -> Path:
        """Path of the initial weights, if they come from another run or from a model."""
        return self.folder / "parent.weights.h5"

    @property
    def parent(self) -> dict[str, Any] | None:
        """Identity of the run or model that provided the initial weights; None for a training from scratch.

        Its entry ``new_classes`` lists the classes whose outputs have fresh weights.
        """
        parent: dict[str, Any] | None = self._origin().get("parent")
        return parent

    @property
    def teachers(self) -> list[dict[str, Any]]:
        """Identities of the teacher runs."""
        teachers: list[dict[str, Any]] = self._origin().get("teachers", [])
        return teachers

    def _origin(self) -> dict[str, Any]:
        # A folder fresh from new_run() has no environment.json, and therefore no parent or teachers.
        return self.environment() if (self.folder / "environment.json").exists() else {}

    def save_baseline(self, score: ValidationScore) -> None:
        """Save the validation score of the initial weights."""
        self.save_json("baseline.json", dataclasses.asdict(score))

    def baseline(self) -> ValidationScore | None:
        """Return the validation score of the parent's weights; None for a training from scratch."""
        if not (self.folder / "baseline.json").exists():
            return None
        return self._read("baseline.json", _parse_baseline)

    @property
    def imported_network(self) -> Path:
        """Path of the Keras network of an imported run; it exists if the source was a Keras model."""
        legacy = self.folder / "network.h5"
        return legacy if legacy.exists() else self.folder / "network.keras"

    @property
    def is_imported(self) -> bool:
        """True if the network was not trained here but imported from a file."""
        return (self.folder / IMPORTED_NETWORK).exists()

    def imported_flatbuffer(self) -> bytes:
        """Read the float32 flatbuffer of an imported run, with batch 1."""
        return (self.folder / IMPORTED_NETWORK).read_bytes()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        return tuple(self._origin().get("labels", LABELS))

    @property
    def output(self) -> str:
        """Kind of the outputs: "logits", or "probabilities" of an imported network with a softmax or sigmoid."""
        imported = self._origin().get("imported", {})
        return str(imported.get("output", "logits"))

    def require_weights(self) -> None:
        """Check that the run has weights.

        Raises:
            DataError: no epoch has completed.
        """
        if not self.is_imported and not self.best_weights.exists():
            raise DataError(f"no checkpoint in {self.folder}", why="no epoch has completed", hint=self.resume_command)

    def progress_note(self) -> str:
        """Summarize the progress of the training in a few words."""
        if self.is_imported:
            return f"imported from {self.environment()['imported']['file']}"
        history, settings = self.history(), self.settings()
        if self.metrics() is not None:
            return f"trained for {counted(len(history), 'epoch')}"
        return f"training incomplete (epoch {len(history)} of {settings.epochs}), using the best weights so far"

    def require_data(self, dataset: Dataset) -> None:
        """Check that ``dataset`` is the dataset of the training; the data of an imported network is unknown.

        Raises:
            DataError: the digests differ.
        """
        if self.is_imported:
            return
        recorded = self.environment()["data"]
        if recorded["sha256"] != dataset.sha256:
            raise DataError(
                f"{self.folder} was trained on other data than {dataset.source}",
                why=f"sha256 {recorded['sha256'][:12]} ({recorded['source']}), not {dataset.sha256[:12]}",
                hint=f"--data {shlex.quote(str(recorded['opened_with']['data']))}",
            )

    @property
    def reference(self) -> dict[str, Any]:
        """Name of the run and identity of its weights, for the record of a run that builds on it."""
        return {"run": self.folder.resolve().name, **self.subject}

    @property
    def subject(self) -> dict[str, Any]:
        """Identity of the best weights for evaluation records: system, scheme and SHA-256 digest."""
        weights = self.imported_flatbuffer() if self.is_imported else self.best_weights.read_bytes()
        digest = hashlib.sha256(weights).hexdigest()
        return {"system": self.settings().system, "scheme": "keras", "sha256": digest}

    def settings(self) -> TrainSettings:
        """Read the settings of the run, and make the source of its architecture known if the run contains it.

        Raises:
            DataError: settings.toml is missing or damaged.
        """
        settings = self._read("settings.toml", from_toml)
        if is_file_architecture(settings.architecture) and self.architecture.exists():
            register_source(self.architecture.read_bytes())
        return settings

    def metrics(self) -> dict[str, Any] | None:
        """Read metrics.json; return None until the training is complete."""
        return self._read("metrics.json", _parse_metrics) if (self.folder / "metrics.json").exists() else None

    def environment(self) -> dict[str, Any]:
        """Read the versions, backend, machine and data of the training."""
        return self._read("environment.json", _parse_environment)

    def opened_with(self) -> dict[str, Any]:
        """Return the options that opened the dataset: data, ferplus and skip_bad_rows, and others that were set."""
        choice: dict[str, Any] = self.environment()["data"]["opened_with"]
        return choice

    def history(self) -> list[Epoch]:
        """Read the completed epochs; empty before the end of the first epoch."""
        return self._read("history.csv", _parse_history) if (self.folder / "history.csv").exists() else []

    def save_history(self, history: Sequence[Epoch]) -> None:
        """Write history.csv."""
        rows = [",".join(str(value) for value in dataclasses.astuple(epoch)) for epoch in history]
        files.write_text(self.folder / "history.csv", "\n".join([",".join(EPOCH_FIELDS), *rows]) + "\n")

    def save_json(self, name: str, content: dict[str, Any]) -> None:
        """Write ``content`` to the JSON file ``name`` in the run folder."""
        files.write_text(self.folder / name, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def artifact(self, scheme: str) -> Path:
        """Return the path of the artifact with quantization scheme ``scheme``."""
        return self.folder / f"{_as_file_name(self.settings().system)}-{scheme}.tflite"

    @contextlib.contextmanager
    def only_trainer(self) -> Iterator[None]:
        """Lock the run folder against other training processes, and delete temporary files of a killed process.

        The kernel releases the lock when the process ends for any reason.

        Raises:
            DataError: another process trains in the folder.
        """
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            self._lock(folder)
            for name in WRITTEN_IN_TRAINING:
                for leftover in self.folder.glob(f".*-{name}"):
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
            # Some network file systems cannot lock folders; train there without a lock.
            return

    def _read(self, name: str, parse: Callable[[str], Content]) -> Content:
        try:
            return parse((self.folder / name).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
            raise DataError(f"cannot read {self.folder / name}", why=str(error), hint=RESTORE) from error
        except (DataError, UsageError) as error:
            hint = error.hint or RESTORE
            raise DataError(f"{self.folder / name}: {error.what}", why=error.why, hint=hint) from error


def _parse_baseline(text: str) -> ValidationScore:
    record = schema.Fields(schema.parse_json(text))
    return ValidationScore(record.amount("selection_loss"), record.share("selection_accuracy"))


def _parse_metrics(text: str) -> dict[str, Any]:
    record = schema.Fields(schema.parse_json(text))
    record.count("best_epoch")
    record.count("epochs")
    Evaluation.from_json(record.object("evaluation"))
    return record.to_plain()


def _parse_environment(text: str) -> dict[str, Any]:
    """Parse environment.json, and check the entries that commands read."""
    record = schema.Fields(schema.parse_json(text))
    record.text("backend")
    data = record.object("data")
    data.text("sha256")
    data.text("source")
    opened_with = data.object("opened_with")
    opened_with.optional(opened_with.text, "data")
    opened_with.optional(opened_with.text, "ferplus")
    opened_with.optional(opened_with.flag, "skip_bad_rows")
    for name in ("split", "columns"):
        if name in opened_with:
            opened_with.text(name)
    if "detect" in opened_with:
        opened_with.flag("detect")
    if "labels_map" in opened_with:
        opened_with.object("labels_map")
    if "labels" in record:
        record.texts("labels")
    if "imported" in record:
        imported = record.object("imported")
        imported.text("file")
        imported.text("output")
    return record.to_plain()


def _parse_history(text: str) -> list[Epoch]:
    rows = csv.DictReader(io.StringIO(text))
    if list(rows.fieldnames or ()) != EPOCH_FIELDS:
        raise ValueError(f"the columns {', '.join(EPOCH_FIELDS)} were expected")
    return [Epoch(epoch=int(row.pop("epoch")), **{name: float(value) for name, value in row.items()}) for row in rows]


def new_run(
    root: Path,
    settings: TrainSettings,
    *,
    folder: Path | None = None,
    prepare: Callable[[Run], None] | None = None,
) -> Run:
    """Create a run folder with settings.toml and link root/latest to it.

    Args:
        root: parent folder of all runs.
        settings: settings to save.
        folder: exact path of the run folder; by default a new name under ``root``.
        prepare: writes the other files that a run needs. It is called before settings.toml, which makes the folder a
            run: after an interruption, the folder is free again.

    Raises:
        DataError: ``folder`` already holds a run, or is not a folder.
    """
    check_new_folder(folder, root=root)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder = _fresh_folder(root, settings.system)
    source = source_of(settings.architecture)
    if source is not None:
        files.write_bytes(Run(folder).architecture, source)
    if prepare is not None:
        prepare(Run(folder))
    files.write_text(folder / "settings.toml", to_toml(settings))
    files.link_to(root / "latest", os.path.relpath(folder.resolve(), root.resolve()))
    return Run(folder)


def check_new_folder(folder: Path | None, *, root: Path = RUNS) -> None:
    """Check that a new run can be created in ``folder``, or in a new folder in ``root``, and linked as root/latest.

    Raises:
        DataError: ``folder`` already holds a run or is not a folder, or root/latest is not a link.
    """
    latest = root / "latest"
    if latest.exists() and not latest.is_symlink():
        why = f"it links to the newest run; a copy of {root}/ can turn the link into a folder"
        raise DataError(f"{latest} is not a link", why=why, hint=f"mv {latest} {root}/earlier")
    if folder is None:
        return
    if (folder / "settings.toml").exists():
        raise DataError(f"{folder} already contains a run", hint=Run(folder).resume_command)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file", why="a run is a folder", hint="--run FOLDER with another name")


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
    """Return the run in ``folder``, or the newest run under ``root``.

    Raises:
        DataError: no run exists.
    """
    chosen = folder if folder is not None else root / "latest"
    if describe_kind(chosen) != RUN:
        if folder is None and chosen.is_symlink():
            why = f"it is a link to {chosen.readlink()}, which does not exist"
            raise DataError(f"{chosen} is a dangling link", why=why, hint=f"name one of the runs in {root}/")
        if folder is None:
            raise DataError(f"{root}/ contains no run", hint="edgefer train")
        why = f"it is {describe_kind(folder)}, expected a folder with settings.toml"
        raise DataError(f"{folder} is not a run", why=why, hint=command_for(folder) or "edgefer train")
    # Resolve the link once, so that a new training cannot change the run of this command.
    return Run(chosen if folder is not None else Path(os.path.relpath(chosen.resolve())))
