"""What several commands share: the options that say which data, and opening what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgefer import plugins
from edgefer.errors import UsageError

if TYPE_CHECKING:
    from edgefer.data.dataset import Dataset
    from edgefer.workstation.training.run import Run

__all__ = [
    "PATH", "RUNTIMES", "SPLITS", "SYNTHETIC", "Command", "data_options", "open_data", "open_data_of", "say",
    "thread_counts",
]  # fmt: skip

PATH = click.Path(path_type=Path)
RUNTIMES = ", ".join(plugins.names("edgefer.inference.runtimes"))
SPLITS = {"public": "PublicTest", "private": "PrivateTest", "train": "Training"}
SYNTHETIC = "synthetic"
Command = TypeVar("Command", bound=Callable[..., Any])


def say(sentence: str) -> None:
    """Tell the user, on stderr, what was chosen."""
    click.echo(sentence, err=True)


def data_options(command: Command) -> Command:
    """--data, --ferplus and --skip-bad-rows; open_data() takes their values."""
    for option in (
        click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be used instead of refusing."),
        click.option("--ferplus", type=PATH, metavar="FILE", help="FER+ votes of the same images, fer2013new.csv."),
        click.option(
            "--data",
            metavar="PATH",
            help="fer2013.csv, icml_face_data.csv, an image tree, an .npz, or 'synthetic' for drawn faces.  "
            "[default: $EDGEFER_DATA, else ./fer2013.csv, else synthetic]",
        ),
    ):
        command = option(command)
    return command


def open_data(data: str | None, ferplus: str | Path | None, skip_bad_rows: bool) -> Dataset:
    """Load what was asked for, or the drawn faces where nothing was and no FER2013 is at hand; says what it chose."""
    from edgefer.data.dataset import load, resolve, synthetic_dataset
    from edgefer.progress import shown

    path = None if data == SYNTHETIC else resolve(data)
    if path is None:
        if ferplus:
            raise UsageError("--ferplus without --data", why="nobody has voted on drawn faces", hint="--data FILE")
        why = "as asked for" if data == SYNTHETIC else "no --data, no $EDGEFER_DATA and no ./fer2013.csv"
        say(f"data: synthetic faces ({why})")
        with shown("drawing faces") as progress:
            return synthetic_dataset(progress=progress)
    say(f"data: {path}")
    with shown(f"reading {path.name}") as progress:
        dataset = load(path, ferplus=Path(ferplus) if ferplus else None, skip_bad_rows=skip_bad_rows, progress=progress)
    for note in dataset.notes:
        say(f"  {note}")
    return dataset


def open_data_of(run: Run, data: str | None, ferplus: str | Path | None, skip_bad_rows: bool) -> Dataset:
    """Load the data that ``run`` was started on; what is given here takes the place of what was given then."""
    given = {"data": data, "ferplus": ferplus, "skip_bad_rows": skip_bad_rows}
    return open_data(**{**run.opened_with(), **{name: value for name, value in given.items() if value}})


def thread_counts(text: str) -> list[int]:
    """The numbers in a --threads option, such as "1,2,4"; UsageError for anything else."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--threads {text}", why="positive numbers were expected", hint="--threads 1,2,4")
    return [int(part) for part in parts]
