"""Score a .tflite or a trained run."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer.cli.data_options import SPLITS, DataOptions, data_options_without_split, open_model_data, open_run_data
from edgefer.cli.foreign import FeedOptions, feed_options, find_contract
from edgefer.cli.options import PATH, RUNTIMES, log, log_ignored_settings
from edgefer.cli.outputs import OUTPUT_FOLDER
from edgefer.errors import DataError, UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.data.dataset import Dataset, Split
    from edgefer.data.evaluation_set import ModelOutputs
    from edgefer.workstation.training.run import Run


@click.command()
@click.argument("subject", metavar="[MODEL|RUN]", required=False, type=PATH)
@data_options_without_split
@feed_options
@click.option("--split", type=click.Choice(list(SPLITS)), default="public", show_default=True, help="Split to score.")
@click.option("--runtime", metavar="NAME", help=f"Runtime for a .tflite: {RUNTIMES}.  [default: the best installed]")
@click.option(
    "--pictures", type=OUTPUT_FOLDER, metavar="FOLDER", help="Write plots to FOLDER, each with its data as .csv."
)
def command(
    subject: Path | None, data: DataOptions, feed: FeedOptions, split: str, runtime: str | None, pictures: Path | None
) -> Result:
    """Score a .tflite or a trained run: accuracy with its confidence interval, per-class recall, confusion matrix.

    The default is the newest .tflite in runs/, or the shipped model small if there is none. A run is scored on the data
    set of its training unless --data is given. The splits public and private are PublicTest and PrivateTest of FER2013,
    and the validation and test split of other data; the words validation and test name them, too. Score on the test
    split once, at the very end: a result that guided any choice is no longer valid.

    --pictures writes a classification report, confusion matrices, the most frequent errors, a reliability diagram,
    sample images and 50 random predictions. For a run it adds learning curves and the gain of each training phase. The
    plots show faces of the data set, so do not publish them.

    \b
    Example:
        edgefer evaluate runs/latest/compact_small-int8.tflite --data fer2013.csv
        edgefer evaluate runs/latest --pictures pictures
    """
    from edgefer.report.terminal.evaluation import evaluation_text

    # Only --pictures needs matplotlib, so that a board can score its model.
    if pictures is not None:
        from edgefer.workstation.plots.gallery import require_folder

        require_folder(pictures)
    run = None
    if subject is not None and subject.is_dir():
        if runtime is not None:
            hint = "pass a .tflite, or omit --runtime"
            raise UsageError("--runtime with a run", why="Keras evaluates runs", hint=hint)
        feed.refuse_for_run()
        outputs, run = _score_run(subject, data, split)
    else:
        outputs = _score_model(subject, feed, data, split, runtime)
    save = functools.partial(_write_plots, outputs, pictures, run) if pictures is not None else None
    return Result(outputs.evaluation.to_json(), evaluation_text(outputs.evaluation), save=save)


def _write_plots(outputs: ModelOutputs, folder: Path, run: Run | None) -> str:
    """Write plots and reports to a folder, and return the text that lists them."""
    from edgefer import files
    from edgefer.report.terminal.gallery import gallery_text, write_report
    from edgefer.report.terminal.training import phases_text
    from edgefer.workstation.plots.gallery import write_gallery

    gallery = write_gallery(outputs, folder, run=run)
    write_report(outputs.evaluation, folder)
    text = gallery_text(folder, gallery.plots)
    if gallery.phases:
        training = f"{phases_text(gallery.phases)}\n{gallery.selection}"
        files.write_text(folder / "phases.txt", training + "\n")
        text = f"{training}\n\n{text}"
    return text


def _score_run(folder: Path, data: DataOptions, split: str) -> tuple[ModelOutputs, Run]:
    from edgefer.data.evaluation_set import make_evaluation_set
    from edgefer.workstation.training.keras_inference import load_trained, score_run
    from edgefer.workstation.training.run import find_run

    run = find_run(folder)
    log_ignored_settings()
    log(f"run: {run.folder}")
    network = load_trained(run)  # damaged weights are reported before the data set is read
    dataset, name = open_run_data(run, data), SPLITS[split]
    images = make_evaluation_set(dataset, _find_split(dataset, name), name=name, spec=run.settings().input)
    return score_run(run, images, network), run


def _find_split(dataset: Dataset, name: str) -> Split:
    """Return the split to score.

    Raises:
        DataError: the data set does not have it.
    """
    try:
        return dataset.split(name)
    except DataError as error:
        if list(dataset.splits) == ["Training"]:
            error.hint = "--split train scores all images, for a model that was not trained on them"
        raise


def _score_model(
    model: Path | None, feed: FeedOptions, data: DataOptions, split: str, runtime: str | None
) -> ModelOutputs:
    from edgefer.data.evaluation_set import ModelOutputs, make_evaluation_set
    from edgefer.inference.classifier import Classifier
    from edgefer.inference.evaluation import compute_logits, evaluate_logits
    from edgefer.progress import progress_bar

    path = find_contract(model, feed, data=data)
    classifier = Classifier.open(path, runtime=runtime)  # a wrong file is reported before the data set is read
    dataset = open_model_data(path, classifier.artifact, data)
    name = SPLITS[split]
    images = make_evaluation_set(dataset, _find_split(dataset, name), name=name, spec=classifier.artifact.input_spec)
    with progress_bar("evaluating") as progress:
        logits = compute_logits(classifier, images.faces, progress=progress)
    evaluation = evaluate_logits(
        classifier,
        logits,
        images.labels,
        split=images.split,
        model=path.stem,
        data=images.data,
        seen_in_training=images.seen_in_training,
        subject={"file": path.name, "file_bytes": path.stat().st_size},
    )
    return ModelOutputs(images, logits, evaluation, classifier.artifact.temperature)
