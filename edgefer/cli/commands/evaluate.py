"""edgefer evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH, RUNTIMES, SPLITS, data_options, open_data, open_data_of, say
from edgefer.errors import UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.data.dataset import Dataset
    from edgefer.data.evaluation_set import ModelOutputs
    from edgefer.workstation.training.run import Run


@click.command(short_help="Score a .tflite or a trained run.")
@click.argument("subject", metavar="[MODEL|RUN]", required=False, type=PATH)
@data_options
@click.option("--split", type=click.Choice(list(SPLITS)), default="public", show_default=True, help="What to score on.")
@click.option("--runtime", metavar="NAME", help=f"What runs a .tflite: {RUNTIMES}.  [default: the best installed]")
@click.option(
    "--pictures", type=PATH, metavar="FOLDER", help="Also draw what the scores are made of, each picture with its .csv."
)
def command(subject: Path | None, split: str, runtime: str | None, pictures: Path | None, **options: Any) -> Result:
    """Score a .tflite or a trained run: accuracy with interval, per class, confusion.

    Without an argument: the newest artifact, else the model that ships. A run is scored on the data that it was
    trained on unless --data says otherwise. PrivateTest is for the very end: choosing anything by it makes its number
    worthless.

    --pictures writes a classification report, confusion matrices, the most frequent errors, a reliability diagram,
    sample images and 50 random predictions; for a run also its curves and what each phase of the training brought.
    They show faces of the data set, so keep them to yourself.

    \b
    Example:
        edgefer evaluate runs/latest/compact_small-int8.tflite --data fer2013.csv
        edgefer evaluate runs/latest --pictures pictures
    """
    from edgefer.report.terminal.evaluation import evaluation_text

    # A board can score its model, and draws nothing.
    if pictures is not None:
        from edgefer.workstation.plots.gallery import require_folder, write_album

        require_folder(pictures)
    run = None
    if subject is not None and subject.is_dir():
        if runtime is not None:
            raise UsageError("--runtime with a run", why="Keras runs it", hint="name a .tflite, or leave it out")
        scored, run = _score_run(subject, split, options)
    else:
        scored = _score_model(subject, open_data(**options), split, runtime)
    text = evaluation_text(scored.evaluation)
    if pictures is not None:
        text += "\n\n" + write_album(scored, pictures, run=run)
    return Result(scored.evaluation.to_json(), text)


def _score_run(folder: Path, split: str, options: dict[str, Any]) -> tuple[ModelOutputs, Run]:
    from edgefer.data.evaluation_set import make_evaluation_set
    from edgefer.workstation.training.keras_inference import score_run
    from edgefer.workstation.training.run import find_run

    run = find_run(folder)
    say(f"run: {run.folder}")
    dataset, name = open_data_of(run, **options), SPLITS[split]
    return score_run(run, make_evaluation_set(dataset, dataset.split(name), name=name, spec=run.settings().input)), run


def _score_model(model: Path | None, dataset: Dataset, split: str, runtime: str | None) -> ModelOutputs:
    from edgefer.data.evaluation_set import ModelOutputs, make_evaluation_set
    from edgefer.inference.classifier import Classifier
    from edgefer.inference.evaluation import read_logits, score_logits
    from edgefer.models import find_model
    from edgefer.progress import shown

    path, reason = find_model(model)
    say(f"model: {path} ({reason})")
    classifier = Classifier.open(path, runtime=runtime)
    name = SPLITS[split]
    images = make_evaluation_set(dataset, dataset.split(name), name=name, spec=classifier.artifact.input_spec)
    with shown("evaluating") as progress:
        logits = read_logits(classifier, images.faces, progress=progress)
    evaluation = score_logits(
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
