"""Import models from other programs, for ``edgefer import`` and for commands that take such a model directly.

    @feed_options                                   # --labels, --input
    def command(feed: FeedOptions) -> Result: ...

    record = import_tflite(path, data, feed, output)
    record, run = import_network(path, data, feed)
"""

from __future__ import annotations

import atexit
import dataclasses
import shlex
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.data_options import DataOptions, open_data
from edgefer.cli.options import log, option_group
from edgefer.cli.outputs import INPUT, check_output
from edgefer.errors import UsageError

if TYPE_CHECKING:
    from edgefer.data.dataset import Dataset
    from edgefer.inference.model_import import ForeignModel, InputChoice
    from edgefer.results.model_import import ModelImport
    from edgefer.workstation.importing.network import ImportedNetwork
    from edgefer.workstation.training.run import Run

__all__ = [
    "NO_DATA", "FeedOptions", "feed_options", "feed_options_without_data", "find_contract", "import_network",
    "import_tflite", "recorded_path",
]  # fmt: skip


NO_DATA = DataOptions()
# Entry of a run that was imported without a data set.
NO_DATA_SET: Mapping[str, Any] = {"data": None, "ferplus": None, "skip_bad_rows": False}


@dataclass(frozen=True)
class FeedOptions:
    """Labels and input of a model without a contract, as given by the user.

    Each is determined with labeled faces if it is None.

    Attributes:
        labels: class names separated by commas, or the path of a file with one per line.
        words: channels and range of the pixels.
    """

    labels: str | None = None
    words: str | None = None

    @property
    def first_option(self) -> str:
        """The option of the first value that is set, or an empty text."""
        if self.labels is not None:
            return "--labels"
        return "--input" if self.words is not None else ""

    def refuse_for_run(self) -> None:
        """Raise UsageError if a value is set: a run defines both."""
        if option := self.first_option:
            raise UsageError(f"{option} with a run", why="the run defines labels and input", hint=f"omit {option}")


def _feed_options(defaults: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return option_group(
        "feed",
        FeedOptions,
        click.option(
            "--labels", type=INPUT, metavar="NAMES",
            help=f"Class names in the order of the outputs: a,b,c or a file.  [{defaults}]",
        ),
        click.option(
            "--input", "words", metavar="WORDS",
            help=f"Channels and range of the pixels, such as gray,-1..1 or rgb,imagenet.  [{defaults}]",
        ),
    )  # fmt: skip


feed_options = _feed_options("default: determined with the data")
# For commands without a data set.
feed_options_without_data = _feed_options("required for a model without a contract")


def find_contract(
    named: Path | None, feed: FeedOptions, *, data: DataOptions = NO_DATA, needs_labels: bool = True
) -> Path:
    """Return the path of a model with a contract: the named model, the default one, or a copy of a model without one.

    The copy of a model without a contract exists until the process ends.

    Args:
        named: path of a .tflite, name of a shipped model, or None for the default.
        feed: labels and input of a model without a contract.
        data: labeled faces, to determine labels or input that are missing in ``feed``.
        needs_labels: require labels and input. Otherwise the copy has numbered classes and the
            range 0..1, which serve to measure latency and to compare runtimes.

    Raises:
        UsageError: labels or input cannot be determined, or ``feed`` has values for a model with a contract.
        DataError: the model or the data set cannot be read.
        IncompatibleError: the model is not a classifier of one image.
    """
    from edgefer.contract.artifact import has_contract
    from edgefer.models import find_model

    path, reason = find_model(named)
    if has_contract(path):
        log(f"model: {path} ({reason})")
        if option := feed.first_option:
            why, hint = "its contract defines labels and input", f"edgefer import {shlex.quote(str(path))} {option} ..."
            raise UsageError(f"{option} with {path}", why=why, hint=hint)
        return path
    folder = tempfile.TemporaryDirectory(prefix="edgefer-contract-")
    atexit.register(folder.cleanup)
    output = Path(folder.name, path.name)
    if feed == FeedOptions() and data.data is None and not needs_labels:
        _write_unknown(path, output)
        return output
    record = import_tflite(path, data, feed, output)
    log(f"input: {record.described_input}; labels: {', '.join(record.labels)} (from {record.labels_from})")
    return output


def recorded_path(named: Path | None, path: Path, feed: FeedOptions) -> str:
    """Return the path that a record states for ``path``, which find_contract() returned for ``named``.

    The copy of a model without a contract is temporary, so its record states the named model.
    """
    return str(named if feed.first_option else path)


def _write_unknown(path: Path, output: Path) -> None:
    """Write a copy of a model whose labels and input are unknown."""
    from edgefer.contract.input_description import describe_input
    from edgefer.inference.model_import import ForeignModel, InputChoice, make_artifact

    model = ForeignModel.open(path, is_classifier=False)
    labels = tuple(f"class {index}" for index in range(model.classes))
    make_artifact(model, InputChoice(model.spec, labels, "nothing", "logits")).save(output)
    log(f"model: {path.name}, {describe_input(model.spec)}, {model.classes} outputs; it has no contract")
    others = model.runtime.others
    if others:
        log(f"inputs other than the image are zero; not used: {', '.join(others)}")
    log("its inputs are synthetic faces with values in 0..1, and its outputs are not checked (see edgefer import)")


def import_tflite(path: Path, data: DataOptions, feed: FeedOptions, output: Path) -> ModelImport:
    """Write a copy of a .tflite with a contract to ``output``.

    Raises:
        UsageError: labels or input cannot be determined.
        DataError: the model or the data set cannot be read.
        IncompatibleError: the model is not a classifier of one image.
    """
    from edgefer.file_kinds import TFLITE
    from edgefer.inference.model_import import ForeignModel, make_artifact

    model = ForeignModel.open(path)
    choice, dataset = _choose(model, path, data, feed)
    make_artifact(model, choice, dataset=dataset).save(output)
    return _record(path, TFLITE, output, choice, dataset)


def import_network(
    path: Path,
    data: DataOptions,
    feed: FeedOptions,
    *,
    trust: bool = False,
    folder: Path | None = None,
    check: Callable[[ImportedNetwork], None] | None = None,
) -> tuple[ModelImport, Run]:
    """Write a run folder with the network of a Keras file or a SavedModel.

    Args:
        path: file or folder from another program.
        data: labeled faces, to determine labels or input that are missing in ``feed``.
        feed: labels and input of the model.
        trust: load files that could run code.
        folder: run folder, or None for a new one.
        check: function that refuses networks for which the caller has no use, before the data set is read.

    Raises:
        UsageError: the file has no known format or could run code, or labels or input cannot be determined.
        DataError: the folder contains a run or cannot be written, or the file or the data set cannot be read.
        IncompatibleError: the network cannot be converted, or is not a classifier of one image.
    """
    from edgefer.inference.first_load import trust_model
    from edgefer.inference.model_import import ForeignModel
    from edgefer.workstation.importing.network import read_network
    from edgefer.workstation.training.run import RUNS, check_new_folder
    from edgefer.workstation.workflows.import_network import create_imported_run

    check_new_folder(folder)
    check_output("the folder of all runs", RUNS, is_folder=True)
    log(f"importing {path}")
    with tempfile.TemporaryDirectory(prefix="edgefer-import-") as private:
        network = read_network(path, folder=Path(private), trust=trust)
        if check is not None:
            check(network)
        # The converter has just written it.
        trust_model(network.flatbuffer)
        model = ForeignModel.load(network.flatbuffer, name=path.name)
        choice, dataset = _choose(model, path, data, feed)
        if network.removed:
            # Logits can be in 0..1, too, as those of a sigmoid before the softmax.
            choice = dataclasses.replace(choice, output="logits")
        run = create_imported_run(
            network, choice, source=path, dataset=dataset, folder=folder,
            opened_with=data.opened_with(dataset) if dataset else NO_DATA_SET,
        )  # fmt: skip
    return _record(path, network.kind, run.folder, choice, dataset, notes=network.notes), run


def _choose(
    model: ForeignModel, path: Path, data: DataOptions, feed: FeedOptions
) -> tuple[InputChoice, Dataset | None]:
    """Determine input and labels; the data set is read if the user names one, or omits input or labels."""
    from edgefer.contract.input_description import describe_input
    from edgefer.data.dataset import resolve
    from edgefer.inference.model_import import choose_input, parse_labels, sidecar_labels
    from edgefer.progress import progress_bar

    log(f"model: {path.name}, {describe_input(model.spec)}, {model.classes} outputs")
    labels, source = (parse_labels(feed.labels), "--labels") if feed.labels else (None, "")
    if labels is None and (sidecar := sidecar_labels(path, model.classes)):
        labels, source = sidecar
    is_complete = labels is not None and feed.words is not None
    dataset = None
    if data.data is not None or (not is_complete and resolve(None) is not None):
        dataset = open_data(data, spec=model.spec)
    with progress_bar("trying inputs") as progress:
        choice = choose_input(
            model, labels=labels, labels_from=source, words=feed.words, dataset=dataset, progress=progress
        )
    return choice, dataset


def _record(
    path: Path, kind: str, output: Path, choice: InputChoice, dataset: Dataset | None, *, notes: tuple[str, ...] = ()
) -> ModelImport:
    from edgefer.contract.input_description import describe_input
    from edgefer.results.model_import import ModelImport, TriedInput

    trials = choice.search.trials if choice.search else ()
    return ModelImport(
        file=path.name,
        kind=kind,
        path=str(output),
        input=choice.spec.to_json(),
        described_input=describe_input(choice.spec, always_range=True),
        labels=choice.labels,
        labels_from=choice.labels_from,
        output=choice.output,
        tried=tuple(TriedInput(describe_input(trial.spec, always_range=True), trial.accuracy) for trial in trials),
        faces=len(trials[0].hits) if trials else 0,
        data=dataset.layout if dataset else "",
        notes=(*notes, *choice.notes),
    )
