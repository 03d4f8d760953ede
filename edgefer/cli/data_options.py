"""Options that name a data set, and functions that open it.

    @click.command()
    @data_options                                   # --data, --ferplus, --skip-bad-rows, --split, ...
    def command(data: DataOptions) -> Result:
        dataset = open_data(data)

    open_run_data(run, data)                        # the data set of a run, with its classes
    open_model_data(path, artifact, data)           # the same for the .tflite of a run
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH, log, option_group, optional_flag
from edgefer.cli.outputs import INPUT, record_input
from edgefer.errors import UsageError

if TYPE_CHECKING:
    from edgefer.contract.artifact import Artifact
    from edgefer.contract.preprocessing import InputSpec
    from edgefer.data.dataset import Dataset
    from edgefer.data.records import FaceCrop
    from edgefer.workstation.training.run import Run

__all__ = [
    "SPLITS", "SYNTHETIC", "DataOptions", "data_options", "data_options_without_data", "data_options_without_split",
    "open_artifact_data", "open_data", "open_model_data", "open_run_data", "parse_columns", "resolve_model_data",
    "select_classes",
]  # fmt: skip

SPLITS = {
    "public": "PublicTest", "private": "PrivateTest", "train": "Training",
    "validation": "PublicTest", "test": "PrivateTest",
}  # fmt: skip
SYNTHETIC = "synthetic"
# Key of click's context for the notes on data sets that this command has printed.
PRINTED_NOTES = "edgefer.printed_notes"
COLUMN_ROLES = ("label", "pixels", "path", "image", "split", "subject")
# The commas between the columns; the name of a column may have others.
COLUMN_COMMA = re.compile(rf",(?=\s*(?:{'|'.join(COLUMN_ROLES)})\s*=)")


@dataclass(frozen=True)
class DataOptions:
    """The data set that a command line names.

    Attributes:
        data: path of the data set, "synthetic", or None for the default.
        ferplus: file with FER+ votes of the same images, or None.
        skip_bad_rows: skip invalid rows; otherwise an invalid row is an error.
        shares: sizes of the splits, such as "80/10/10", for a data set without test splits; or None.
        columns: columns of a table by role, such as "label=mood,path=file"; or None.
        labels_map: names that models use, by class name of the data set; or None.
        detect: crop the largest face from each picture; None takes the choice of the run, else pictures are faces.
        split_if_needed: leave a data set with test splits as it is; otherwise ``shares`` is an error for it.
    """

    data: str | None = None
    ferplus: Path | None = None
    skip_bad_rows: bool = False
    shares: str | None = None
    columns: str | None = None
    labels_map: Mapping[str, str] | None = None
    detect: bool | None = None
    split_if_needed: bool = False

    def opened_with(self, dataset: Dataset) -> dict[str, Any]:
        """Return JSON-compatible values with which a later command opens ``dataset`` again; see with_defaults()."""
        optional = {
            "split": self.shares, "columns": self.columns, "labels_map": self.labels_map, "detect": self.detect,
        }  # fmt: skip
        return {
            "data": SYNTHETIC if dataset.layout == SYNTHETIC else str(Path(dataset.source).resolve()),
            "ferplus": str(self.ferplus.resolve()) if self.ferplus else None,
            "skip_bad_rows": self.skip_bad_rows,
            **{name: value for name, value in optional.items() if value},
        }

    def with_defaults(self, saved: Mapping[str, Any]) -> DataOptions:
        """Return these options, with those of a run in place of the ones that are not set.

        Votes and the numbers of a labels map belong to one data set, and columns to a kind of file: they do not apply
        to ``data`` of another place or another kind.
        """
        data = Path(self.data or saved["data"] or "")
        is_other = saved["data"] is not None and data.resolve() != Path(saved["data"]).resolve()
        is_other_kind = is_other and data.suffix != Path(saved["data"]).suffix
        ferplus = self.ferplus or (None if is_other else saved["ferplus"])
        labels_map = self.labels_map or saved.get("labels_map")
        if is_other and labels_map and not self.labels_map:
            labels_map = _without_numbers(labels_map, is_noted=self.data != SYNTHETIC)
        return DataOptions(
            data=self.data or saved["data"],
            ferplus=Path(ferplus) if ferplus else None,
            skip_bad_rows=self.skip_bad_rows or saved["skip_bad_rows"],
            shares=self.shares or saved.get("split"),
            columns=self.columns or (None if is_other_kind else saved.get("columns")),
            labels_map=labels_map,
            detect=saved.get("detect") if self.detect is None else self.detect,
            split_if_needed=not self.shares,
        )


def _without_numbers(labels_map: Mapping[str, str], *, is_noted: bool) -> Mapping[str, str] | None:
    """Return the names in the labels map of a run: a number means another class in other data."""
    from edgefer.data.naming import is_number, list_names

    numbers = [name for name in labels_map if is_number(name)]
    if numbers and is_noted:
        log(f"not applied to other data, the numbers in the run's labels map: {list_names(numbers)} (see --labels-map)")
    return {name: label for name, label in labels_map.items() if name not in numbers} or None


class LabelsMap(click.ParamType):  # type: ignore[type-arg]
    """A TOML file with the names that models use, by class name of a data set."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, str]:
        """Read the file."""
        from edgefer.data.class_names import read_labels_map

        if isinstance(value, Mapping):
            return value
        record_input(ctx, param, Path(value))
        return read_labels_map(Path(value))


DATA_OPTION = click.option(
    "--data",
    type=INPUT,
    metavar="PATH",
    help="A table such as fer2013.csv, folders of pictures, Parquet, WebDataset, an .npz, or 'synthetic' for generated "
    "faces.  "
    "[default: the data of the run, else $EDGEFER_DATA, else ./fer2013.csv; for training, else synthetic]",
)
LAYOUT_OPTIONS = (
    click.option("--ferplus", type=PATH, metavar="FILE", help="FER+ votes for the same images (fer2013new.csv)."),
    click.option("--skip-bad-rows", is_flag=True, help="Skip invalid rows instead of failing."),
    click.option(
        "--columns", metavar="ROLE=NAME,...",
        help="Columns of a table: label and pixels, path or image, also split and subject.",
    ),
    click.option(
        "--labels-map", type=LabelsMap(), metavar="FILE",
        help='TOML file with class names of the data and those of the model, such as joy = "happy".',
    ),
    optional_flag(
        "--detect/--no-detect",
        help="Crop the largest face from each picture first, for pictures of scenes; others are skipped.",
    ),
)  # fmt: skip
SPLIT_OPTION = click.option(
    "--split", "shares", metavar="PERCENT",
    help="Split data without test splits, such as 80/10/10, by subject if known.",
)  # fmt: skip
data_options = option_group("data", DataOptions, DATA_OPTION, *LAYOUT_OPTIONS, SPLIT_OPTION)
# For commands whose --split names the split to score.
data_options_without_split = option_group("data", DataOptions, DATA_OPTION, *LAYOUT_OPTIONS)
# For commands whose argument is the data set.
data_options_without_data = option_group("data", DataOptions, *LAYOUT_OPTIONS, SPLIT_OPTION)


def parse_columns(text: str) -> dict[str, str]:
    """Parse columns by role such as "label=mood,path=file".

    Raises:
        UsageError: a role is unknown, occurs twice or lacks a name, or label or one of pixels, path and image is
            missing.
    """
    pairs = [pair.partition("=") for pair in COLUMN_COMMA.split(text)]
    columns = {role.strip(): name.strip() for role, _, name in pairs}
    is_complete = "label" in columns and len(set(columns) & {"pixels", "path", "image"}) == 1
    is_valid = set(columns) <= set(COLUMN_ROLES) and len(columns) == len(pairs) and all(columns.values())
    if not is_complete or not is_valid:
        expected = "label=NAME with one of pixels=NAME, path=NAME and image=NAME"
        why = f"expected {expected}; the roles are {', '.join(COLUMN_ROLES)}"
        raise UsageError(f"--columns {text}", why=why, hint="--columns label=expression,path=file")
    return columns


def open_data(options: DataOptions, *, spec: InputSpec | None = None) -> Dataset:
    """Load the data set, and print which one.

    Without --data, FER2013 is taken from $EDGEFER_DATA or ./fer2013.csv; synthetic faces are generated if neither
    exists.

    Args:
        options: the data set.
        spec: input of the model; pictures of an image tree are read at its size, by default at 48 x 48.

    Raises:
        UsageError: --ferplus, --split, --columns, --labels-map or --detect with synthetic faces, one of them is
            invalid, or --detect with a table of pixels.
        DataError: the data set cannot be read.
    """
    from edgefer.contract.preprocessing import InputSpec
    from edgefer.data.dataset import load, resolve, synthetic_dataset
    from edgefer.data.splitting import SplitShares
    from edgefer.progress import progress_bar

    split = SplitShares.parse(options.shares) if options.shares else None
    if split is not None and options.split_if_needed:
        split = dataclasses.replace(split, if_needed=True)
    columns = parse_columns(options.columns) if options.columns else None
    path = None if options.data == SYNTHETIC else resolve(options.data)
    if path is None:
        if options.ferplus:
            raise UsageError("--ferplus without --data", why="synthetic faces have no FER+ votes", hint="--data FILE")
        for option, value in (
            ("--split", options.shares), ("--columns", options.columns), ("--labels-map", options.labels_map),
            ("--detect", options.detect),
        ):  # fmt: skip
            if value and not options.split_if_needed:
                raise UsageError(f"{option} with synthetic faces", why="they are complete", hint="--data PATH")
        why = "as requested" if options.data == SYNTHETIC else "no --data, no $EDGEFER_DATA and no ./fer2013.csv"
        log(f"data: synthetic faces ({why})")
        with progress_bar("generating faces") as progress:
            return synthetic_dataset(progress=progress)
    log(f"data: {path}{', the largest face of each picture' if options.detect else ''}")
    with progress_bar(f"reading {path.name or path}") as progress:
        dataset = load(
            path,
            spec=spec or InputSpec(),
            split=split,
            columns=columns,
            labels_map=options.labels_map,
            ferplus=options.ferplus,
            skip_bad_rows=options.skip_bad_rows,
            crop=_face_crop() if options.detect else None,
            progress=progress,
        )
    _log_notes(dataset.source, dataset.notes)
    return dataset


def _log_notes(source: str, notes: Sequence[str]) -> None:
    """Print the notes of a data set; a command that opens it again does not repeat them."""
    context = click.get_current_context(silent=True)
    printed: set[tuple[Path, str]] = set() if context is None else context.meta.setdefault(PRINTED_NOTES, set())
    for note in notes:
        key = (Path(source).absolute(), note)
        if key not in printed:
            log(f"  {note}")
        printed.add(key)


def _face_crop() -> FaceCrop:
    """Return the crop of the face detector that predict and live use by default."""
    from edgefer.data.records import FaceCrop
    from edgefer.inference.face_detection import DEFAULT_DETECTOR, FaceDetector

    return FaceCrop(DEFAULT_DETECTOR, FaceDetector.open(DEFAULT_DETECTOR).crop_largest)


def open_model_data(model: Path, artifact: Artifact, options: DataOptions) -> Dataset:
    """Load the data set that measures the accuracy of a model, with its classes; see resolve_model_data().

    Raises:
        UsageError: no data set was named or found.
        DataError: the data set cannot be read, or has no faces of the model's classes.
    """
    return open_artifact_data(artifact, resolve_model_data(model, artifact, options))


def open_artifact_data(artifact: Artifact, options: DataOptions) -> Dataset:
    """Load the data set of ``options`` at the input size of a model, with the model's classes in their order.

    Raises:
        DataError: the data set cannot be read, or has no faces of the model's classes.
    """
    return _selected(open_data(options, spec=artifact.input_spec), artifact.labels)


def resolve_model_data(model: Path, artifact: Artifact, options: DataOptions) -> DataOptions:
    """Return the options that open the data set to measure the accuracy of a model.

    Without --data, it is the data set of the training run in the folder of the model, $EDGEFER_DATA or ./fer2013.csv.
    Synthetic faces measure only models that were trained on synthetic faces.

    Args:
        model: path of the model.
        artifact: content of the model.
        options: options of the command line.

    Raises:
        UsageError: no data set was named or found.
    """
    from edgefer.data.dataset import resolve

    if options.data is None:
        origin = artifact.provenance.get("data")
        trained_on = origin.get("name") if isinstance(origin, dict) else None
        saved = _saved_data_options(model.resolve().parent)
        if saved.data is not None:
            options = options.with_defaults({**dataclasses.asdict(saved), "split": saved.shares})
            options = dataclasses.replace(options, ferplus=None if saved.data == SYNTHETIC else options.ferplus)
            log(f"data of the run in {model.parent}:")
        elif resolve(None) is None and trained_on != SYNTHETIC:
            raise UsageError(
                f"no data set to measure the accuracy of {model.name}",
                why=f"no --data, $EDGEFER_DATA or ./fer2013.csv; it was trained on {trained_on or 'unknown data'}",
                hint=f"--data PATH, or --data {SYNTHETIC} to test the tools with generated faces",
            )
    return options


def select_classes(dataset: Dataset, classes: tuple[str, ...]) -> Dataset:
    """Return the faces of the classes in --classes, in their order.

    Raises:
        UsageError: the data set has no class of a name, or a name occurs twice.
    """
    from edgefer.data.naming import canonical_name, list_names, match_names

    if not all(classes):
        raise UsageError(f"--classes {','.join(classes)}", why="a name is empty", hint="--classes NAME,NAME")
    unknown = [name for name in classes if name not in match_names(classes, dataset.labels)]
    if unknown:
        why = f"{dataset.source} has the classes {dataset.class_counts()}"
        hint = f"--classes {','.join(dataset.labels[:3])}"
        raise UsageError(f"--classes names {list_names(unknown)}", why=why, hint=hint)
    index_of = match_names(classes, dataset.labels)
    labels = tuple(dataset.labels[index_of[name]] for name in classes)
    if len(set(map(canonical_name, labels))) < max(2, len(labels)):
        why = "a class occurs twice" if len(labels) > 1 else "expected at least two classes"
        raise UsageError(f"--classes {','.join(classes)}", why=why, hint="--classes NAME,NAME")
    return _selected(dataset, labels)


def _selected(dataset: Dataset, labels: tuple[str, ...]) -> Dataset:
    """Return the faces of a model's classes, and print a note on the others."""
    selected = dataset.select(labels)
    _log_notes(dataset.source, selected.notes[len(dataset.notes) :])
    return selected


def _saved_data_options(folder: Path) -> DataOptions:
    """Return the options that opened the data set of the run in ``folder``; without a run, all of them are unset."""
    try:
        saved = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["data"]["opened_with"]
        data, ferplus, skip_bad_rows = saved["data"], saved["ferplus"], saved["skip_bad_rows"]
        split, columns, labels_map = saved.get("split"), saved.get("columns"), saved.get("labels_map")
        detect = saved.get("detect")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return DataOptions()
    if not isinstance(data, str) or not all(isinstance(text, (str, type(None))) for text in (ferplus, split, columns)):
        return DataOptions()
    if not isinstance(labels_map, (dict, type(None))) or not isinstance(detect, (bool, type(None))):
        return DataOptions()
    return DataOptions(
        data, Path(ferplus) if ferplus else None, skip_bad_rows is True, split, columns, labels_map, detect
    )


def open_run_data(run: Run, options: DataOptions, *, spec: InputSpec | None = None) -> Dataset:
    """Load the data set that ``run`` was trained on, with its classes; options that are set override the run's own.

    Args:
        run: the run.
        options: options of the command line.
        spec: input of the model; the one of the run by default.

    Raises:
        UsageError: --ferplus with synthetic faces, or the run was imported without a data set and none is named.
        DataError: the data set cannot be read, or has no faces of the run's classes.
    """
    merged = options.with_defaults(run.opened_with())
    if merged.data is None:
        why = "its network was imported without a data set"
        raise UsageError(f"no data set for {run.folder}", why=why, hint="--data PATH")
    return _selected(open_data(merged, spec=spec or run.settings().input), run.labels)
