"""edgefer train"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer import plugins
from edgefer.cli.options import PATH, SYNTHETIC, data_options, open_data, open_data_of, say
from edgefer.errors import UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.workstation.training.run import Run
    from edgefer.workstation.training.settings import TrainSettings

NEWEST = "newest"
SYSTEMS = ", ".join(plugins.names("edgefer.workstation.training.systems"))
FLAGS = {"folder": "--run", "assignments": "--set", "augments": "--augment", "parent": "--init-from"}
AUGMENT = "none, flip, light, standard, strong, mixed, or one setting such as zoom=0.2; may be repeated."

NEEDS_WORKSTATION = True


@click.command(short_help="Train a network on FER2013 or drawn faces.")
@data_options
@click.option("--system", metavar="NAME", help=f"One of {SYSTEMS}.  [default: compact_small]")
@click.option("--settings", type=PATH, metavar="FILE", help="A TOML file with what differs from the system.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--epochs", metavar="N", help="Short for --set epochs=N.")
@click.option("--seed", metavar="N", help="Short for --set seed=N.")
@click.option("--augment", "augments", multiple=True, metavar="NAME|KEY=VALUE", help=AUGMENT)
@click.option("--teacher", metavar="RUN[,RUN...]", help="Learn from what these runs answer, too.")
@click.option("--init-from", "parent", type=PATH, metavar="RUN", help="Begin with the best weights of a run.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard logs into the run folder.")
@click.option("--run", "folder", type=PATH, metavar="FOLDER", help="The run folder.  [default: runs/TIME-SYSTEM]")
@click.option("--resume", is_flag=False, flag_value=NEWEST, metavar="[RUN]", help="Go on with a run (the newest).")
def command(resume: str | None, folder: Path | None, tensorboard: bool, **options: Any) -> Result:
    """Train a network on FER2013, or on drawn faces where there is none.

    The run folder keeps settings, weights, history and pictures. A run that was stopped, however hard, goes on with
    --resume and ends with the same weights. --init-from begins a run with the settings and the best weights of another, a
    new optimizer and a new schedule, and keeps those weights where nothing better comes of it.

    \b
    Example:
        edgefer train --data fer2013.csv --epochs 60 --augment strong
        edgefer train --data fer2013.csv --system compact_nano --teacher runs/wide-1,runs/wide-2
        edgefer train --init-from runs/latest --set learning_rate=0.01
    """
    from edgefer.progress import shown
    from edgefer.workstation.workflows.train import complete, summary

    run, dataset = _begin(folder, **options) if resume is None else _resume(resume, folder=folder, **options)
    say(f"run: {run.folder}, {run.settings().system} on {run.environment()['backend']}")
    try:
        with shown("training") as progress:
            complete(run, dataset, progress=progress, tensorboard=tensorboard)
    except (KeyboardInterrupt, OSError):
        say(f"to go on: edgefer train --resume {run.folder}")
        raise
    return summary(run)


def _begin(folder: Path | None, *, data: str | None, ferplus: Path | None, skip_bad_rows: bool, **options: Any) -> Any:
    from edgefer.progress import shown
    from edgefer.workstation.networks.backend import load_keras
    from edgefer.workstation.training.run import find_run
    from edgefer.workstation.workflows.train import start

    load_keras()  # before the data are read: without it the wait was for nothing
    parent = find_run(options["parent"]) if options["parent"] else None
    teachers = [find_run(Path(name)) for name in (options["teacher"] or "").split(",") if name]
    settings = _settings(parent, options)
    if parent is not None and data is None:
        dataset, opened_with = open_data_of(parent, data, ferplus, skip_bad_rows), parent.opened_with()
    else:
        dataset = open_data(data, ferplus, skip_bad_rows)
        opened_with = {
            "data": SYNTHETIC if dataset.layout == SYNTHETIC else str(Path(dataset.source).resolve()),
            "ferplus": str(ferplus.resolve()) if ferplus else None,
            "skip_bad_rows": skip_bad_rows,
        }
    with shown("teachers") as progress:
        run = start(
            settings, dataset, opened_with=opened_with, folder=folder, parent=parent, teachers=teachers,
            progress=progress,
        )  # fmt: skip
    return run, dataset


def _settings(parent: Run | None, options: dict[str, Any]) -> TrainSettings:
    """Those of the system, or of the run that it begins from, with what the command line changes."""
    from edgefer.workstation.training.settings import resolve
    from edgefer.workstation.workflows.train import load_system

    if parent is not None and options["system"]:
        why = "a run goes on with its own network"
        raise UsageError("--init-from together with --system", why=why, hint="leave --system out")
    base = load_system(options["system"] or "compact_small") if parent is None else parent.settings()
    changes = [f"{key}={options[key]}" for key in ("epochs", "seed") if options[key] is not None]
    augments = [f"augment.{each}" if "=" in each else f"augment={each}" for each in options["augments"]]
    return resolve(base, file=options["settings"], assignments=[*augments, *options["assignments"], *changes])


def _resume(resume: str, *, data: str | None, ferplus: Path | None, skip_bad_rows: bool, **options: Any) -> Any:
    from edgefer.workstation.training.run import find_run

    run = find_run(None if resume == NEWEST else Path(resume))
    # The same faces may lie elsewhere by now, but votes that the run did not have would change what it learns.
    if ferplus and not run.opened_with()["ferplus"]:
        options["ferplus"] = ferplus
    given = [FLAGS.get(name, f"--{name}") for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"--resume together with {', '.join(given)}",
            why="a run goes on with the settings that it was started with",
            hint="leave them out, or start a new run without --resume",
        )
    return run, open_data_of(run, data, ferplus, skip_bad_rows)
