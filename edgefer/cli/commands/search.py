"""Search for accurate networks within the budget of a device."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer import plugins
from edgefer.cli.data_options import DataOptions, data_options, open_data
from edgefer.cli.options import NAME, PATH, POSITIVE, FiniteRange, log, log_ignored_settings, option_group
from edgefer.cli.outputs import OUTPUT_FILE, check_output
from edgefer.errors import DataError, UsageError
from edgefer.progress import is_stdout_terminal
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.contract.preprocessing import InputSpec
    from edgefer.data.dataset import Dataset
    from edgefer.results.architecture_search import ArchitectureSearch
    from edgefer.search.journal import SearchFolder
    from edgefer.search.run import SearchRequest
    from edgefer.search.tuning import Resources

NEEDS_WORKSTATION = True

NEWEST = "newest"
GIB = 2**30
DEFAULT_GIB = 2.0
# No machine has more memory; the product with GIB is a finite number.
MAX_GIB = 2**20
JUDGES = ", ".join(plugins.names("edgefer.search.judges"))


@dataclass(frozen=True)
class BudgetOptions:
    """The judge of the costs, and the limits of the networks.

    Attributes:
        judge: NAME or NAME:KEY=VALUE,..., or None for "device" or "local".
        devices: devices that measure.
        max_p90_us, max_cost, max_bytes: limits, or None.
    """

    judge: str | None
    devices: tuple[str, ...]
    max_p90_us: float | None
    max_cost: float | None
    max_bytes: int | None


@dataclass(frozen=True)
class ScaleOptions:
    """Machines of the search; None takes the value that the search was started with, or the default.

    Attributes:
        address: a Ray cluster, or None for this machine.
        cpus: cores on this machine.
        cpus_per_trial, gpus_per_trial: cores and GPUs of one trial.
        memory_per_trial: GiB of one trial.
    """

    address: str | None
    cpus: int | None
    cpus_per_trial: float | None
    gpus_per_trial: float | None
    memory_per_trial: float | None

    @property
    def recorded(self) -> dict[str, float]:
        """The given options that a search keeps; the address of a cluster may be another one after an interruption."""
        return {name: value for name, value in vars(self).items() if name != "address" and value is not None}

    def with_defaults(self, recorded: Mapping[str, float]) -> ScaleOptions:
        """Return the options with the ``recorded`` values of those that were not given."""
        missing: dict[str, Any] = {name: value for name, value in recorded.items() if getattr(self, name, 0) is None}
        return replace(self, **missing)


budget_options = option_group(
    "budget",
    BudgetOptions,
    click.option(
        "--judge", type=NAME, metavar="NAME[:KEY=VALUE,...]",
        help=f"Measure of the cost: {JUDGES}.  [default: device with --device, else local]",
    ),
    click.option(
        "--device", "devices", type=NAME, multiple=True, metavar="NAME|USER@HOST",
        help="Board that measures; may be repeated.",
    ),
    click.option("--max-p90-us", type=POSITIVE, metavar="US", help="Largest latency, p90."),
    click.option(
        "--max-cost", type=POSITIVE, metavar="N",
        help="Largest cost, in the unit of the judge.",
    ),
    click.option("--max-bytes", type=click.IntRange(1), metavar="N", help="Largest .tflite, with its contract."),
)  # fmt: skip
scale_options = option_group(
    "scale",
    ScaleOptions,
    click.option(
        "--address", type=NAME, metavar="HOST:PORT|auto", help="Ray cluster to run on.  [default: this machine]"
    ),
    click.option(
        "--cpus", type=click.IntRange(1), metavar="N",
        help="Cores to use here.  [default: all; one is left to the judge local]",
    ),
    click.option(
        "--cpus-per-trial", type=POSITIVE, metavar="N", help="Cores of one trial.  [default: 1]",
    ),
    click.option(
        "--gpus-per-trial", type=FiniteRange(0), metavar="N",
        help="GPUs of one trial; 0.25 shares one among four, 0 trains on the processor.  [default: 0]",
    ),
    click.option(
        "--memory-per-trial", type=FiniteRange(0, MAX_GIB, min_open=True), metavar="GIB",
        help="Memory that one trial reserves.  [default: 2]",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class DataSource:
    """A function that opens the data set of a search in a worker.

    Attributes:
        options: options with an absolute path.
    """

    options: DataOptions

    def __call__(self, spec: InputSpec) -> Dataset:
        """Open the data set for a model input."""
        return open_data(self.options, spec=spec)


@click.command()
@click.argument("space", metavar="[SPACE.toml]", required=False, type=PATH)
@budget_options
@click.option("--trials", type=click.IntRange(1), metavar="N", help="Networks to train.  [default: 50]")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Random seed of the search.  [default: 0]")
@click.option("--all-epochs", is_flag=True, help="Train every network to the end; none is stopped early.")
@click.option(
    "--name", type=NAME, metavar="NAME", help="Name of the search: runs/search-NAME.  [default: that of SPACE.toml]"
)
@data_options
@scale_options
@click.option(
    "--resume", type=NAME, is_flag=False, flag_value=NEWEST, metavar="[NAME]",
    help="Continue an interrupted search; without NAME, the newest.",
)
@click.option(
    "--show", type=NAME, is_flag=False, flag_value=NEWEST, metavar="[NAME]",
    help="Show a search, also while it runs; without NAME, the newest.",
)
@click.option("--best", type=OUTPUT_FILE, metavar="FILE", help="With --show: write the settings of the best trial.")
@click.option("--trial", type=click.IntRange(0), metavar="N", help="With --best: another trial.")
def command(
    space: Path | None, budget: BudgetOptions, trials: int | None, seed: int | None, all_epochs: bool, name: str | None,
    data: DataOptions, scale: ScaleOptions, resume: str | None, show: str | None, best: Path | None, trial: int | None,
) -> Result:  # fmt: skip
    """Search the settings in SPACE.toml for networks that are accurate within the budget of a device.

    The cost of each network is measured before its training, as an int8 model with random weights; a network over the
    budget is never trained. Each trial is a run folder in runs/search-NAME/trials. It is trained, quantized to int8 and
    scored on the validation split. Trials that fall behind others of similar cost are stopped early.

    An interrupted search continues with --resume, and repeats no finished trial. search.json in its folder is a result
    for edgefer report. docs/scale.md describes SPACE.toml and clusters.

    \b
    Example:
        edgefer search space.toml --device pi4 --max-p90-us 1500
        edgefer search space.toml --judge macs --max-cost 2e6 --trials 200
        edgefer search --show
        edgefer search --resume
        edgefer search --show --best best.toml
    """
    if show and resume:
        raise UsageError("--show with --resume", why="one reads a search, the other continues it", hint="omit one")
    if best is not None and show is None:
        hint = f"edgefer search --show --best {shlex.quote(str(best))}"
        raise UsageError("--best without --show", why="it reads a search", hint=hint)
    if trial is not None and best is None:
        raise UsageError("--trial without --best", why="it selects what --best writes", hint="add --best best.toml")
    given: dict[str, Any] = {
        "SPACE.toml": space, "--name": name, "--seed": seed, "--all-epochs": all_epochs or None,
        "--judge": budget.judge, "--device": budget.devices or None, "--max-p90-us": budget.max_p90_us,
        "--max-cost": budget.max_cost, "--max-bytes": budget.max_bytes,
        "the options of the data set": None if data == DataOptions() else data,
        "--trials": trials if show else None,
        **({f"--{name.replace('_', '-')}": value for name, value in vars(scale).items()} if show else {}),
    }  # fmt: skip
    conflicts = [option for option, value in given.items() if value is not None]
    if (resume or show) and conflicts:
        option = "--resume" if resume else "--show"
        why = "it shows what was recorded" if show else "a search keeps what it was started with"
        raise UsageError(f"{option} with {', '.join(conflicts)}", why=why, hint=f"omit {', '.join(conflicts)}")
    if show:
        return _show(None if show == NEWEST else show, best, trial)
    if resume:
        return _resume(None if resume == NEWEST else resume, trials, scale)
    if space is None:
        raise UsageError("no search space", why="expected a SPACE.toml", hint="edgefer search space.toml")
    return _start(space, budget, trials or 50, seed or 0, all_epochs, name or space.stem, data, scale)


def _start(
    path: Path, budget: BudgetOptions, trials: int, seed: int, all_epochs: bool, name: str, data: DataOptions,
    scale: ScaleOptions,
) -> Result:  # fmt: skip
    from edgefer.search.journal import SearchFolder
    from edgefer.search.judge import open_judge
    from edgefer.search.run import SearchRequest
    from edgefer.search.space import open_teachers, read_space
    from edgefer.search.tuning import require_ray
    from edgefer.workstation.training.run import RUNS
    from edgefer.workstation.training.validation import validation_split

    if "/" in name or name in ("", ".", ".."):
        raise UsageError(f"--name {name}", why="it is part of the name of a folder", hint="--name nano-pi4")
    space = read_space(path)
    folder = SearchFolder(RUNS / f"search-{name}")
    if folder.exists():
        hint = f"edgefer search --resume {shlex.quote(name)}, or --name with another name"
        raise DataError(f"{folder.path} already contains a search", hint=hint)
    judge_name, options = _judge(budget)
    limits = _budget(budget, judge_name)
    open_judge(judge_name, options=options, devices=budget.devices)
    require_ray()
    check_output("the folder of the search", folder.path, is_folder=True)
    log_ignored_settings()
    open_teachers(space)
    settings = space.settings({name: item.examples()[0] for name, item in space.drawn.items()})
    dataset = open_data(data, spec=settings.input)
    opened_with = data.opened_with(dataset)
    split = validation_split(dataset, settings)
    facts = {
        "source": dataset.source, "layout": dataset.layout, "sha256": dataset.sha256, "split": split.name,
        "images": {"Training": len(split.training), split.name: len(split.validation)},
    }  # fmt: skip
    request = SearchRequest(
        space=space, judge=judge_name, budget=limits, target=trials, labels=dataset.labels, data=facts,
        opened_with=opened_with, unit="", description="", options=options, devices=budget.devices, seed=seed,
        grace_epochs=0 if all_epochs else 1, scale=scale.recorded,
    )  # fmt: skip
    judge = request.open_judge()
    request = replace(request, unit=judge.unit, description=judge.description)
    del dataset, split
    return _run(folder, request, scale)


def _resume(name: str | None, trials: int | None, scale: ScaleOptions) -> Result:
    from edgefer.search.journal import find_search
    from edgefer.search.run import read_request
    from edgefer.search.space import open_teachers
    from edgefer.search.tuning import require_ray
    from edgefer.workstation.training.run import RUNS

    require_ray()
    folder = find_search(name, root=RUNS)
    request = read_request(folder)
    log_ignored_settings()
    open_teachers(request.space)
    settings = request.space.settings({name: item.examples()[0] for name, item in request.space.drawn.items()})
    dataset = DataSource(DataOptions().with_defaults(request.opened_with))(settings.input)
    if dataset.sha256 != request.data["sha256"]:
        raise DataError(
            f"{folder.path} was started with other data than {dataset.source}",
            why=f"sha256 {request.data['sha256'][:12]}, not {dataset.sha256[:12]}",
            hint="restore the data set, or start another search",
        )
    scale = scale.with_defaults(request.scale)
    return _run(folder, replace(request, target=trials or request.target, scale=scale.recorded), scale)


def _show(name: str | None, best: Path | None, number: int | None) -> Result:
    from edgefer import files
    from edgefer.report.terminal.search import search_text
    from edgefer.search.journal import find_search
    from edgefer.search.run import read_record, read_request
    from edgefer.workstation.training.run import RUNS
    from edgefer.workstation.training.settings_toml import to_toml

    folder = find_search(name, root=RUNS)
    request = read_request(folder)
    record = read_record(folder, request)
    if best is None:
        return Result(record.to_json(), search_text(record))
    front = record.front()
    chosen = front[-1:] if number is None else [trial for trial in record.trials if trial.number == number]
    if not chosen:
        what = f"search {record.name} has no {'complete trial' if number is None else f'trial {number}'}"
        raise DataError(what, hint=f"edgefer search --show {shlex.quote(record.name)}")
    trial = chosen[0]
    settings = request.space.settings(trial.drawn, number=trial.number)
    files.write_text(best, to_toml(settings))
    teacher = request.space.teacher(trial.drawn)
    text = f"{best}: settings of trial {trial.number}\nnext: edgefer train --settings {shlex.quote(str(best))}"
    return Result(record.to_json(), text + (f" --teacher {shlex.quote(teacher)}" if teacher else ""))


def _judge(budget: BudgetOptions) -> tuple[str, dict[str, str]]:
    return plugins.parse_options(budget.judge or ("device" if budget.devices else "local"), option="--judge")


def _budget(options: BudgetOptions, judge: str) -> Any:
    from edgefer.search.director import Budget

    if options.max_p90_us is not None and options.max_cost is not None:
        raise UsageError("--max-p90-us with --max-cost", why="both limit the cost", hint="omit one")
    if options.max_p90_us is not None and judge not in ("device", "local"):
        why = f"the judge {judge} measures no latency"
        raise UsageError(f"--max-p90-us with --judge {judge}", why=why, hint="--max-cost")
    return Budget(options.max_cost if options.max_p90_us is None else options.max_p90_us, options.max_bytes)


def _run(folder: SearchFolder, request: SearchRequest, scale: ScaleOptions) -> Result:
    from edgefer.report.terminal.search import search_text
    from edgefer.search.run import run_search

    resources = _resources(scale, judge=request.judge)
    log(f"search: {folder.path}; cost: {request.description}")
    source = DataSource(DataOptions().with_defaults(request.opened_with))
    try:
        with _live_table() as on_change:
            record = run_search(
                folder, request, open_dataset=source, resources=resources, address=scale.address, on_change=on_change
            )
    except KeyboardInterrupt:
        if not folder.exists():
            raise
        address = f" --address {shlex.quote(scale.address)}" if scale.address else ""
        log(f"to continue: edgefer search --resume {shlex.quote(folder.name)}{address}")
        raise
    return Result(record.to_json(), f"{search_text(record)}\n{folder.record}: for edgefer report")


def _resources(scale: ScaleOptions, *, judge: str) -> Resources:
    from edgefer.search.tuning import Resources

    cores = len(os.sched_getaffinity(0))
    # A training on the core of a measurement would multiply the latency.
    left = max(1, cores - 1) if judge == "local" else cores
    return Resources(
        cpus=scale.cpus or left, cpus_per_trial=scale.cpus_per_trial or 1, gpus_per_trial=scale.gpus_per_trial or 0,
        memory_per_trial=int((scale.memory_per_trial or DEFAULT_GIB) * GIB),
    )  # fmt: skip


@contextlib.contextmanager
def _live_table() -> Iterator[Callable[[ArchitectureSearch], None]]:
    """Yield a function that shows the Pareto front on a terminal, and prints a line per trial elsewhere."""
    from edgefer.report.terminal.search import progress_line, search_text

    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        last = ""

        def print_line(record: ArchitectureSearch) -> None:
            nonlocal last
            line = progress_line(record)
            if line != last:
                last = line
                log(line)

        yield print_line
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(
        Text(""), console=Console(stderr=True), auto_refresh=False, transient=True,
        redirect_stdout=is_stdout_terminal(),
    ) as live:  # fmt: skip
        yield lambda record: live.update(Text(search_text(record, next_step=False)), refresh=True)
