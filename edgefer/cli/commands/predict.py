"""edgefer predict"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer import plugins
from edgefer.cli.options import PATH, RUNTIMES, say
from edgefer.errors import DataError, UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.inference.pipeline import ImageResult, Pipeline

# More would take the memory of a board and give it nothing to do.
MOST_WORKERS = 4
WORTH_A_BAR = 10
CROPS_AT_ONCE = 16
LONGEST_LIST = 300
DETECTORS = ", ".join(plugins.names("edgefer.inference.detectors"))


@click.command(short_help="Name the expressions on pictures.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--model", type=PATH, metavar="FILE", help="A .tflite.  [default: the newest, else the one that ships]")
@click.option("--no-detect", is_flag=True, help="Each picture is one face already, cropped.")
@click.option("--detector", default="haar", show_default=True, metavar="NAME", help=f"What finds faces: {DETECTORS}.")
@click.option("--detector-model", type=PATH, metavar="FILE", help="The file that the detector needs.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Of a video every N-th frame.")
@click.option("--jsonl", is_flag=True, help="Write a JSON object a face, as they come.")
@click.option("--csv", "as_csv", is_flag=True, help="Write a line a face, as they come.")
@click.option("--draw", type=PATH, metavar="FOLDER", help="Write the pictures there, with boxes and labels.")
@click.option("--runtime", metavar="NAME", help=f"One of {RUNTIMES}.  [default: the best installed]")
@click.option("--threads", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Of each model.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Pictures at the same time.  [default: the cores]")
def command(sources: tuple[str, ...], **options: Any) -> Result:
    """Find the faces on pictures and name the expression of each.

    A SOURCE is a picture, a video, a folder, a pattern in quotes, or - for a picture on standard input. What a model
    names is how a face looks, not what a person feels.

    \b
    Example:
        edgefer predict photo.jpg holidays/ --draw seen
        edgefer predict faces/ --no-detect --csv
        edgefer predict clip.mp4 --every 10 --jsonl
    """
    from edgefer.inference.images import expand
    from edgefer.inference.output import entry, predictions_text
    from edgefer.models import find_model
    from edgefer.results import schema

    if options["jsonl"] and options["as_csv"]:
        raise UsageError("--jsonl together with --csv", why="a line has one format", hint="leave one out")
    files = expand(sources)
    path, reason = find_model(options["model"])
    say(f"model: {path} ({reason})")
    make = _maker(path, options)
    labels = make().classifier.artifact.labels  # what cannot be loaded is told before the first picture
    looks = [*_streamed(_looks(files, make, options), labels, options)]
    failure = _failure(looks)
    record = {
        **schema.header("predictions", 2), "model": str(path), "predictions": [entry(each, labels) for each in looks],
    }  # fmt: skip
    text = "" if options["jsonl"] or options["as_csv"] else predictions_text(looks)
    return Result(record, text, failure)


def _maker(path: Path, options: dict[str, Any]) -> Callable[[], Pipeline]:
    from edgefer.inference.classifier import Classifier
    from edgefer.inference.face_detection import FaceDetector
    from edgefer.inference.pipeline import Pipeline

    def make() -> Pipeline:
        classifier = Classifier.open(path, runtime=options["runtime"], threads=options["threads"])
        if options["no_detect"]:
            return Pipeline(classifier, None)
        return Pipeline(classifier, FaceDetector.open(options["detector"], model=options["detector_model"]))

    return make


def _looks(files: tuple[str, ...], make: Callable[[], Pipeline], options: dict[str, Any]) -> Iterator[ImageResult]:
    """Each picture as it is done; drawn, where that was asked for."""
    from dataclasses import replace

    from edgefer.inference.images import pictures
    from edgefer.inference.output import AnnotatedImageWriter
    from edgefer.inference.pipeline import predict_batch
    from edgefer.progress import shown, silent

    found, album = pictures(files, every=options["every"]), AnnotatedImageWriter(options["draw"]) if options["draw"] else None
    # Crops are small; of photographs and frames each worker holds one.
    batch = CROPS_AT_ONCE if options["no_detect"] and album is None else 1
    workers = options["workers"] or min(os.cpu_count() or 1, MOST_WORKERS)
    with shown("looking") as bar:
        progress = bar if len(files) >= WORTH_A_BAR else silent
        looks = predict_batch(found, make, workers=workers, batch=batch, keep_images=album is not None)
        for number, look in enumerate(looks):
            progress(number, max(len(files), number + 1), "")
            if album is not None:
                album.add(look)
            # Thousands of pictures would not fit in the memory.
            yield replace(look, image=None)


def _streamed(looks: Iterator[ImageResult], labels: tuple[str, ...], options: dict[str, Any]) -> Iterator[ImageResult]:
    """The same, each written as a line where that was asked for; what could not be read is told at once."""
    from edgefer.inference.output import CSV_HEADER, csv_rows, jsonl

    writer = csv.writer(sys.stdout, lineterminator="\n")
    if options["as_csv"]:
        writer.writerow(CSV_HEADER)
    for look in looks:
        if look.problem is not None:
            say(f"skipped: {look.problem}")
        if options["jsonl"]:
            for line in jsonl(look, labels):
                click.echo(line)
        elif options["as_csv"]:
            writer.writerows(csv_rows(look))
        yield look


def _failure(looks: list[ImageResult]) -> DataError | None:
    """What the command ends with; raised here where nothing could be read, and so nothing was found out."""
    problems = [look.problem for look in looks if look.problem is not None]
    if not problems:
        return None
    if len(problems) == len(looks):
        raise problems[0]
    named = ", ".join(look.name for look in looks if look.problem is not None)
    what = f"{len(problems)} of {len(looks)} pictures could not be read"
    why = named if len(named) <= LONGEST_LIST else f"{named[:LONGEST_LIST]}..."
    return DataError(what, why=why, hint="leave them out")
