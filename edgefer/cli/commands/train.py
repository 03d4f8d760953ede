"""Train a network on a data set or on synthetic faces."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgefer import plugins
from edgefer.cli.data_options import DataOptions, data_options, open_data, open_run_data, select_classes
from edgefer.cli.device_options import DeviceOptions, device_options, devices_of_run, load_backend, new_devices
from edgefer.cli.options import PATH, log, log_ignored_settings, option_group
from edgefer.cli.outputs import INPUT, OUTPUT_FOLDER, check_output, record_input
from edgefer.data.naming import list_names
from edgefer.errors import UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.data.dataset import Dataset
    from edgefer.workstation.networks.data_parallel import DataParallel
    from edgefer.workstation.training.run import Run
    from edgefer.workstation.training.settings import TrainSettings
    from edgefer.workstation.training.validation import ValidationSplit
    from edgefer.workstation.workflows.initial_weights import InitialWeights

NEEDS_WORKSTATION = True

NEWEST = "newest"
SYSTEMS = plugins.names("edgefer.workstation.training.systems")
DEFAULT_SYSTEM = "compact_small"


def _record_source(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    file = (value or "").partition(":")[0]
    if file.endswith(".py"):
        record_input(context, parameter, Path(file))
    return value


@dataclass(frozen=True)
class TrainOptions:
    """Options that define a new run.

    Attributes:
        system: system to start from; None for that of ``settings``, or the default.
        settings: TOML file with changes to the system, or None.
        assignments: single settings, KEY=VALUE.
        architecture: name of an architecture, or FILE.py or FILE.py:FUNCTION, or None.
        epochs, seed, views: values of these settings, as text, or None.
        augments: augmentation presets or KEY=VALUE.
        teacher: run folders and models separated by commas, or None.
        classes: class names in the order of the outputs, separated by commas; None for all classes of the data set.
        init_from: run or model that gives the initial weights, or None.
        run_folder: folder of the new run, or None for a default name.
    """

    system: str | None
    settings: Path | None
    assignments: tuple[str, ...]
    architecture: str | None
    epochs: str | None
    seed: str | None
    views: str | None
    augments: tuple[str, ...]
    teacher: str | None
    classes: str | None
    init_from: Path | None
    run_folder: Path | None


train_options = option_group(
    "options",
    TrainOptions,
    click.option(
        "--system", metavar="NAME",
        help=f"System: {', '.join(SYSTEMS)}.  [default: that of --settings, else {DEFAULT_SYSTEM}]",
    ),
    click.option("--settings", type=PATH, metavar="FILE", help="TOML file with settings that override the system's."),
    click.option(
        "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override one setting; may be repeated."
    ),
    click.option(
        "--architecture", metavar="NAME|FILE.py[:FUNCTION]", callback=_record_source,
        help="Built-in architecture, or a function of your own with the parameters of a built-in one.",
    ),
    click.option("--epochs", metavar="N", help="Short for --set epochs=N."),
    click.option("--seed", metavar="N", help="Short for --set seed=N."),
    click.option(
        "--augment", "augments", multiple=True, metavar="NAME|KEY=VALUE",
        help="none, flip, light, standard, strong, mixed, or one setting such as zoom=0.2; may be repeated.",
    ),
    click.option(
        "--teacher", type=INPUT, metavar="RUN[,RUN...]", help="Distill from the logits of these runs or .tflite models."
    ),
    click.option(
        "--views", metavar="N",
        help="Short for --set views=N: teachers and student share N augmented views of the images.",
    ),
    click.option(
        "--classes", metavar="NAME[,NAME...]",
        help="Classes to train, in the order of the outputs.  [default: all classes of the data set]",
    ),
    click.option(
        "--init-from", type=PATH, metavar="RUN|MODEL",
        help="Start from the weights of a trained or imported run, a shipped model or a .tflite of edgefer.",
    ),
    click.option(
        "--run", "run_folder", type=OUTPUT_FOLDER, metavar="FOLDER", help="Run folder.  [default: runs/TIME-SYSTEM]"
    ),
)  # fmt: skip


@click.command()
@data_options
@train_options
@device_options
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard logs to the run folder.")
@click.option(
    "--resume", type=INPUT, is_flag=False, flag_value=NEWEST, metavar="[RUN]",
    help="Resume an interrupted run; without RUN, the newest.",
)  # fmt: skip
def command(
    data: DataOptions, options: TrainOptions, devices: DeviceOptions, tensorboard: bool, resume: str | None
) -> Result:
    """Train a network on a data set, or on synthetic faces without one.

    The run folder stores settings, weights, history and plots. --resume continues an interrupted run. On a CPU,
    it gives the same weights as an uninterrupted one.

    --init-from starts a run with the weights of another run or of a model, a new optimizer and a new schedule. The
    outputs of classes that the model has keep their weights, and those remain the result if no epoch improves on them.
    Other classes get new outputs. The settings are those of the run; for a model, or with new classes, they become
    those of a short fine-tuning.

    \b
    Example:
        edgefer train --data fer2013.csv --epochs 60 --augment strong
        edgefer train --system nano --teacher runs/wide-1,runs/wide-2 --views 48
        edgefer train --init-from nano --data my_faces/
        edgefer train --init-from runs/latest --set learning_rate=0.01
        edgefer train --data my_faces/ --classes neutral,happy,angry
        edgefer train --architecture my_net.py:build --set model.width=32
        KERAS_BACKEND=jax edgefer train --data affectnet/ --gpus 4
    """
    from edgefer.progress import progress_bar
    from edgefer.report.terminal.training import training_text
    from edgefer.workstation.training.loop import train
    from edgefer.workstation.workflows.train import complete, training_record

    log_ignored_settings()
    training = _start(data, options, devices) if resume is None else _resume(resume, data, options, devices)
    run, parallel = training.run, training.parallel
    _log_run(run)
    try:
        with progress_bar("training") as progress:
            if parallel is not None and not parallel.is_writer:
                train(training.split, run.settings(), run=run, progress=progress, parallel=parallel)
                done = f"rank {parallel.rank} has trained; rank 0 writes {run.folder}"
                return Result({"run": str(run.folder), "rank": parallel.rank}, done)
            complete(
                run, training.dataset, split=training.split, progress=progress, tensorboard=tensorboard,
                parallel=parallel,
            )  # fmt: skip
    except (KeyboardInterrupt, OSError):
        log(f"to resume: {run.resume_command}")
        raise
    record = training_record(run)
    return Result(record, training_text(record))


class _Training(NamedTuple):
    run: Run
    dataset: Dataset
    split: ValidationSplit
    parallel: DataParallel | None


def _log_run(run: Run) -> None:
    """Print the run folder and the processor on which it trains, and name a GPU that it leaves unused."""
    from edgefer.workstation.networks.accelerator import describe_accelerator, unused_gpus
    from edgefer.workstation.networks.backend import load_keras

    backend = run.environment()["backend"]
    keras = load_keras(backend=backend)
    devices = run.environment().get("devices", 1)
    shared = f", shared by {devices} devices" if devices > 1 else ""
    log(f"run: {run.folder}, {run.settings().system} on {backend}, {describe_accelerator(keras)}{shared}")
    unused = unused_gpus(keras)
    if unused:
        log(f"note: this machine has {unused}, and {backend} does not use it; edgefer doctor shows why")


def _start(data: DataOptions, options: TrainOptions, devices: DeviceOptions) -> _Training:
    from edgefer.progress import progress_bar
    from edgefer.workstation.training.run import RUNS, find_run
    from edgefer.workstation.training.teachers import open_teacher
    from edgefer.workstation.training.validation import validation_split
    from edgefer.workstation.workflows.initial_weights import open_initial_weights
    from edgefer.workstation.workflows.train import check_start, start

    keras = load_backend(devices)  # a missing Keras is reported before the data set is read
    parent = open_initial_weights(options.init_from) if options.init_from else None
    teachers = [open_teacher(name) for name in _teacher_names(options.teacher)]
    settings = _settings(parent, options)
    parallel = new_devices(keras, devices, batch_size=settings.batch_size, run_folder=options.run_folder)
    writes = parallel is None or parallel.is_writer
    check_start(settings, folder=options.run_folder if writes else None, parent=parent, teachers=teachers)
    check_output("the folder of all runs", RUNS, is_folder=True)
    dataset, opened_with = _open_dataset(data, options, settings, parent)
    if parent is not None:
        settings = _settings(parent, options, labels=dataset.labels)
        _log_initial_weights(parent, settings, dataset.labels)
    split = validation_split(dataset, settings)
    if writes:
        with progress_bar("computing teacher logits") as progress:
            run = start(
                settings, dataset, split=split, opened_with=opened_with, folder=options.run_folder, parent=parent,
                teachers=teachers, devices=len(parallel.names) if parallel else 1, progress=progress,
            )  # fmt: skip
    if parallel is not None:
        parallel.wait("run folder")
    return _Training(run if writes else find_run(options.run_folder), dataset, split, parallel)


def _open_dataset(
    data: DataOptions, options: TrainOptions, settings: TrainSettings, parent: InitialWeights | None
) -> tuple[Dataset, dict[str, Any]]:
    """Return the data set, and the options that opened it."""
    from edgefer.data.dataset import resolve

    if parent is not None and data.data is None:
        if parent.run is not None and options.classes is None:
            dataset = open_run_data(parent.run, data, spec=settings.input)
            return dataset, data.with_defaults(parent.run.opened_with()).opened_with(dataset)
        if parent.run is not None:
            data = data.with_defaults(parent.run.opened_with())
        elif resolve(None) is None:
            why = "no --data, no $EDGEFER_DATA and no ./fer2013.csv"
            raise UsageError(f"no data set for --init-from {parent.name}", why=why, hint="--data PATH")
    dataset = open_data(data, spec=settings.input)
    if options.classes is not None:
        dataset = select_classes(dataset, tuple(name.strip() for name in options.classes.split(",")))
    elif parent is not None and set(dataset.labels) == set(parent.labels):
        dataset = dataset.select(parent.labels)
    return dataset, data.opened_with(dataset)


def _log_initial_weights(parent: InitialWeights, settings: TrainSettings, labels: tuple[str, ...]) -> None:
    """Print the source of the initial weights, and the settings on which a fine-tuning depends most."""
    from edgefer.workstation.workflows.initial_weights import new_classes

    added = new_classes(parent, labels)
    if added:
        outputs = f"new outputs: {list_names(added)}"
    elif len(labels) < len(parent.labels):
        outputs = f"{len(labels)} of its {len(parent.labels)} outputs are kept"
    else:
        outputs = "all outputs are kept"
    log(f"initial weights: {parent.name}; {outputs}")
    rates = f"learning rate {settings.learning_rate:g}"
    if settings.backbone_lr_factor != 1:
        rates += f", times {settings.backbone_lr_factor:g} before the last layer"
    log(f"training: {settings.epochs} epochs, {rates}")


def _settings(
    parent: InitialWeights | None, options: TrainOptions, *, labels: tuple[str, ...] | None = None
) -> TrainSettings:
    """Return the settings of the system or of the parent, with the changes of the command line.

    Args:
        parent: source of the initial weights, or None.
        options: options of the command line.
        labels: classes of the data set, which decide with a parent whether this is a fine-tuning; None if it is not
            read yet.
    """
    from edgefer.workstation.training.settings_toml import resolve
    from edgefer.workstation.workflows.initial_weights import fine_tuning_settings

    for option, value in (("--system", options.system), ("--architecture", options.architecture)):
        if parent is not None and value:
            why = "its weights fit only its own network"
            raise UsageError(f"--init-from with {option}", why=why, hint=f"omit {option}")
    base = _system(options) if parent is None else parent.settings
    if parent is not None and (parent.run is None or (labels is not None and set(labels) != set(parent.labels))):
        base = fine_tuning_settings(base, teachers=bool(options.teacher))
    shorthands = {"epochs": options.epochs, "seed": options.seed, "views": options.views}
    assignments = [f"augment.{value}" if "=" in value else f"augment={value}" for value in options.augments]
    if options.architecture:
        assignments += _architecture(options.architecture, named=options.system is not None)
    assignments += options.assignments
    assignments += [f"{key}={value}" for key, value in shorthands.items() if value is not None]
    return resolve(base, file=options.settings, assignments=assignments)


def _teacher_names(text: str | None) -> list[str]:
    names = [name.strip() for name in text.split(",")] if text is not None else []
    if not all(names):
        raise UsageError(f"--teacher {text!r}", why="a name is empty", hint="--teacher RUN,RUN")
    return names


def _system(options: TrainOptions) -> TrainSettings:
    """Return the settings of the system that the options or their settings file name, or of the default."""
    from edgefer.workstation.training.architecture_file import register_beside
    from edgefer.workstation.training.settings_toml import named_system
    from edgefer.workstation.workflows.train import load_system

    named = named_system(options.settings) if options.settings else None
    if options.settings:
        register_beside(options.settings)
    if options.system and named not in {None, options.system}:
        why = f"the file has the settings of the system {named}"
        raise UsageError(f"--system {options.system} with --settings {options.settings}", why=why, hint="omit --system")
    # A run of an architecture of one's own has a system that is not in the catalog, and a file of all its settings.
    in_catalog = named if named in SYSTEMS else DEFAULT_SYSTEM
    if named not in {None, in_catalog}:
        lacking = f"settings that {options.settings} lacks are those of {in_catalog}"
        log(f"note: {named} is not a system of edgefer; {lacking}")
    return load_system(options.system or in_catalog)


def _architecture(text: str, *, named: bool) -> list[str]:
    """Return the settings for the value of --architecture; without a named system, a file also names the system."""
    from edgefer.workstation.training.architecture_file import register_file

    file, _, function = text.partition(":")
    if not file.endswith(".py"):
        return [f"architecture={text}"]
    name = f"architecture={register_file(Path(file), function or 'build')}"
    return [name] if named else [name, f"system={json.dumps(Path(file).stem)}"]


def _resume(resume: str, data: DataOptions, options: TrainOptions, devices: DeviceOptions) -> _Training:
    from edgefer.workstation.training.run import find_run
    from edgefer.workstation.training.validation import validation_split
    from edgefer.workstation.workflows.train import check_resume

    run = find_run(None if resume == NEWEST else Path(resume))
    fixed = {
        "--system": options.system,
        "--settings": options.settings,
        "--set": options.assignments,
        "--architecture": options.architecture,
        "--epochs": options.epochs,
        "--seed": options.seed,
        "--augment": options.augments,
        "--teacher": options.teacher,
        "--views": options.views,
        "--classes": options.classes,
        "--init-from": options.init_from,
        "--run": options.run_folder,
        "--gpus": devices.gpus,
        # The data set may have moved, but votes that the run started without would change its targets.
        "--ferplus": data.ferplus if not run.opened_with()["ferplus"] else None,
    }
    conflicts = [name for name, value in fixed.items() if value]
    if conflicts:
        raise UsageError(
            f"--resume with {', '.join(conflicts)}",
            why="a run keeps the settings that it was started with",
            hint="omit them, or start a new run without --resume",
        )
    parallel = devices_of_run(load_backend(devices, backend=run.environment()["backend"]), run)
    check_resume(run, writes=parallel is None or parallel.is_writer)
    check_output("the run folder", run.folder, is_folder=True)
    # The data set may have moved; its votes have not changed.
    votes = data.ferplus or run.opened_with()["ferplus"]
    dataset = open_run_data(run, dataclasses.replace(data, ferplus=Path(votes) if votes else None))
    if parallel is not None:
        parallel.wait("state of the run")
    return _Training(run, dataset, validation_split(dataset, run.settings()), parallel)
