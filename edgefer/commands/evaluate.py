"""edgefer evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.commands._options import PATH, RUNTIMES, SPLITS, data_options, open_data, open_data_of, say
from edgefer.errors import UsageError
from edgefer.result import Result

if TYPE_CHECKING:
    from edgefer.evaluation import Evaluation
    from edgefer.workstation.dataset import Dataset


@click.command(short_help="Score a .tflite or a trained run.")
@click.argument("subject", metavar="[MODEL|RUN]", required=False, type=PATH)
@data_options
@click.option("--split", type=click.Choice(list(SPLITS)), default="public", show_default=True, help="What to score on.")
@click.option("--runtime", metavar="NAME", help=f"What runs a .tflite: {RUNTIMES}.  [default: the best installed]")
def command(
    subject: Path | None, data: str | None, ferplus: Path | None, skip_bad_rows: bool, split: str, runtime: str | None
) -> Result:
    """Score a .tflite or a trained run: accuracy with interval, per class, confusion.

    Without an argument: the newest artefact, else the model that ships. A run is scored on the data that it was
    trained on unless --data says otherwise. PrivateTest is for the very end: choosing anything by it makes its number
    worthless.

    \b
    Example:
        edgefer evaluate runs/latest/compact_small-int8.tflite --data fer2013.csv
    """
    from edgefer.report.text import evaluation_text

    options: dict[str, Any] = {"data": data, "ferplus": ferplus, "skip_bad_rows": skip_bad_rows}
    if subject is not None and subject.is_dir():
        if runtime is not None:
            raise UsageError("--runtime with a run", why="Keras runs it", fix="name a .tflite, or leave it out")
        evaluation = _score_run(subject, split, options)
    else:
        evaluation = _score_model(subject, open_data(**options), split, runtime)
    return Result(evaluation.to_json(), evaluation_text(evaluation))


def _score_run(folder: Path, split: str, options: dict[str, Any]) -> Evaluation:
    from edgefer.workstation.evaluation import evaluate_run
    from edgefer.workstation.runs import find_run
    from edgefer.workstation.scoreset import score_set

    run = find_run(folder)
    say(f"run: {run.folder}")
    dataset, name = open_data_of(run, **options), SPLITS[split]
    return evaluate_run(run, score_set(dataset, dataset.split(name), name=name, spec=run.settings().input))


def _score_model(model: Path | None, dataset: Dataset, split: str, runtime: str | None) -> Evaluation:
    from edgefer.board.classifier import Classifier
    from edgefer.board.evaluate import evaluate_classifier
    from edgefer.models import find_model
    from edgefer.progress import shown
    from edgefer.workstation.scoreset import score_set

    path, reason = find_model(model)
    say(f"model: {path} ({reason})")
    classifier = Classifier.open(path, runtime=runtime)
    name = SPLITS[split]
    images = score_set(dataset, dataset.split(name), name=name, spec=classifier.artefact.input_spec)
    with shown("evaluating") as progress:
        return evaluate_classifier(
            classifier,
            images.faces,
            images.labels,
            split=images.split,
            model=path.stem,
            data=images.data,
            seen_in_training=images.seen_in_training,
            subject={"file": path.name, "file_bytes": path.stat().st_size},
            progress=progress,
        )
