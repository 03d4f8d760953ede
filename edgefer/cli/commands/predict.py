"""Recognize expressions in pictures and videos."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer.cli.foreign import FeedOptions, feed_options_without_data, find_contract, recorded_path
from edgefer.cli.options import MODEL_HELP, PATH, RUNTIMES, detector_options, is_given, log, option_group
from edgefer.cli.outputs import INPUT, OUTPUT_FOLDER, describe_os_error, is_same_file
from edgefer.cli.streams import DataStream, write, write_json
from edgefer.errors import DataError, EdgeferError, Interrupted, OutputError, UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.inference.pipeline import ImageResult, Pipeline

# More workers would exceed the memory of a board without a gain in speed.
MAX_WORKERS = 4
MIN_FILES_FOR_PROGRESS = 10
CROPS_PER_BATCH = 16
MAX_NAMES_CHARACTERS = 300


@dataclass(frozen=True)
class PipelineOptions:
    """Options of the classifier and the face detector."""

    model: Path | None
    no_detect: bool
    detector: str
    detector_model: Path | None
    runtime: str | None
    threads: int


pipeline_options = option_group(
    "pipeline",
    PipelineOptions,
    click.option("--model", type=PATH, metavar="FILE", help=MODEL_HELP),
    click.option("--no-detect", is_flag=True, help="Skip face detection: each picture is one cropped face."),
    detector_options,
    click.option("--runtime", metavar="NAME", help=f"Runtime: {RUNTIMES}.  [default: the best installed]"),
    click.option(
        "--threads", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Threads per model."
    ),
)


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=INPUT)
@pipeline_options
@feed_options_without_data
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Use each N-th frame of a video."
)
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Parallel workers.  [default: one per core, at most 4]"
)
@click.option("--jsonl", is_flag=True, help="Write one JSON object per face to stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="Write one CSV row per face to stdout.")
@click.option(
    "--draw", type=OUTPUT_FOLDER, metavar="FOLDER", help="Write the pictures with boxes and labels to FOLDER."
)
def command(
    sources: tuple[str, ...], pipeline: PipelineOptions, feed: FeedOptions, every: int, workers: int | None,
    jsonl: bool, as_csv: bool, draw: Path | None,
) -> Result:  # fmt: skip
    """Detect the faces in pictures and classify the expression of each.

    SOURCE is a picture, a video, a folder, a quoted pattern, or - for a picture on standard input. The label describes
    how a face looks, not what the person feels.

    \b
    Example:
        edgefer predict photo.jpg holidays/ --draw annotated
        edgefer predict faces/ --no-detect --csv
        edgefer predict clip.mp4 --every 10 --jsonl
    """
    from edgefer.cli.main import common_options
    from edgefer.inference.images import expand_paths
    from edgefer.inference.output import format_table, to_record
    from edgefer.results import schema

    formats = {"--jsonl": jsonl, "--csv": as_csv, "--json": common_options().as_json}
    selected = [option for option, is_set in formats.items() if is_set]
    if len(selected) > 1:
        hint = "leave one out; --out FILE writes the JSON to a file"
        raise UsageError(" with ".join(selected[:2]), why="only one output format is possible", hint=hint)
    _check_detector(no_detect=pipeline.no_detect)
    _check_no_address(sources)
    other_files: list[Path] = []
    files = expand_paths(sources, on_other_file=other_files.append)
    if other_files:
        log(f"skipped, neither images nor videos: {_names([str(path) for path in other_files])}")
    _check_annotated(files, draw)
    _check_out(files, common_options().out)
    path = find_contract(pipeline.model, feed)
    open_pipeline = _opener(path, pipeline)
    labels = open_pipeline().classifier.artifact.labels  # fails before the first picture, not in a worker
    unwritten: list[OSError] = []
    results = _predict(
        files, open_pipeline, every=every, workers=workers, is_cropped=pipeline.no_detect, draw=draw,
        unwritten=unwritten,
    )  # fmt: skip
    images: list[ImageResult] = []
    failure: EdgeferError | None = None
    try:
        for image in _stream(results, labels, jsonl=jsonl, as_csv=as_csv):
            images.append(image)
    except KeyboardInterrupt as interrupt:
        if not images:
            raise
        failure = Interrupted.from_exception(interrupt)
        failure.why = f"complete results: {len(images):,}"
    failure = failure or _failure(images) or _write_failure(unwritten)
    predictions = [to_record(image, labels) for image in images]
    model = recorded_path(pipeline.model, path, feed)
    record = {**schema.header("predictions", 2), "model": model, "predictions": predictions}
    return Result(record, "" if jsonl or as_csv else format_table(images), failure)


def _check_detector(*, no_detect: bool) -> None:
    """Raise UsageError if --no-detect comes with an option of the face detector."""
    for option, parameter in (("--detector", "detector"), ("--detector-model", "detector_model")):
        if no_detect and is_given(parameter):
            why = "no face is detected: each picture is one cropped face"
            raise UsageError(f"--no-detect with {option}", why=why, hint=f"omit {option}, or --no-detect for scenes")


def _check_no_address(sources: tuple[str, ...]) -> None:
    """Raise UsageError for the address of a stream, which may contain a password."""
    from edgefer.live.redaction import redact_address

    for source in sources:
        if "://" in source and not os.path.lexists(source):
            what, hint = f"{redact_address(source)} is an address", "download the file, or edgefer live --stream URL"
            raise UsageError(what, why="expected a file", hint=hint)


def _check_annotated(files: tuple[str, ...], folder: Path | None) -> None:
    """Raise UsageError if an annotated picture would replace its source."""
    for name in files if folder is not None else ():
        source = Path(name)
        if source.suffix == ".png" and os.path.realpath(source.parent) == os.path.realpath(str(folder)):
            why = f"the annotated picture would replace {name}"
            raise UsageError(f"--draw {folder}", why=why, hint="--draw with another folder")


def _check_out(files: tuple[str, ...], out: Path | None) -> None:
    """Raise UsageError if the record would replace a picture of a folder or a pattern."""
    if out is not None and any(is_same_file(out, Path(name)) for name in files):
        raise UsageError(f"--out {out}", why="it is one of the pictures", hint="--out with another path")


def _opener(model: Path, options: PipelineOptions) -> Callable[[], Pipeline]:
    """Return a function that opens one pipeline; each worker calls it."""
    from edgefer.inference.classifier import Classifier
    from edgefer.inference.face_detection import FaceDetector
    from edgefer.inference.pipeline import Pipeline

    def open_pipeline() -> Pipeline:
        classifier = Classifier.open(model, runtime=options.runtime, threads=options.threads)
        if options.no_detect:
            return Pipeline(classifier, None)
        return Pipeline(classifier, FaceDetector.open(options.detector, model=options.detector_model))

    return open_pipeline


def _predict(
    files: tuple[str, ...], open_pipeline: Callable[[], Pipeline], *, every: int, workers: int | None,
    is_cropped: bool, draw: Path | None, unwritten: list[OSError],
) -> Iterator[ImageResult]:  # fmt: skip
    """Yield the result of each picture in order, without its image; write the annotated image first.

    The first image that cannot be written adds its error to ``unwritten``, and no other is written.
    """
    from dataclasses import replace

    from edgefer.inference.images import iter_sources
    from edgefer.inference.output import AnnotatedImageWriter
    from edgefer.inference.pipeline import predict_batch
    from edgefer.progress import progress_bar, silent

    writer = AnnotatedImageWriter(draw) if draw else None
    # Crops are small. Each worker holds only one photograph or frame at a time.
    batch = CROPS_PER_BATCH if is_cropped and writer is None else 1
    workers = workers or min(os.cpu_count() or 1, MAX_WORKERS)
    with progress_bar("predicting") as bar:
        progress = bar if len(files) >= MIN_FILES_FOR_PROGRESS else silent
        pictures = iter_sources(files, every=every)
        results = predict_batch(pictures, open_pipeline, workers=workers, batch=batch, keep_images=writer is not None)
        for number, result in enumerate(results):
            # Each frame of a video is a picture, and their number is unknown.
            progress(number + 1, len(files) if number < len(files) else number + 2, "")
            if writer is not None and not unwritten:
                try:
                    writer.add(result)
                except OSError as error:  # such as a full disk, which must not end the predictions
                    unwritten.append(error)
            # Thousands of images would not fit in memory.
            yield replace(result, image=None)


def _stream(
    results: Iterator[ImageResult], labels: tuple[str, ...], *, jsonl: bool, as_csv: bool
) -> Iterator[ImageResult]:
    """Yield the results; print each result to stdout and each unreadable picture to stderr immediately."""
    from edgefer.inference.output import CSV_HEADER, to_csv_rows, to_json_lines as jsonl_lines

    writer = csv.writer(DataStream(), lineterminator="\n")
    if as_csv:
        writer.writerow(CSV_HEADER)
    for result in results:
        if result.problem is not None:
            write(f"skipped: {result.problem}", to_stderr=True)
        if jsonl:
            for line in jsonl_lines(result, labels):
                write_json(line)
        elif as_csv:
            writer.writerows(to_csv_rows(result))
        yield result


def _failure(images: list[ImageResult]) -> DataError | None:
    """Return the error to exit with, or None.

    Raises:
        DataError: no picture could be read, so there is no result.
    """
    problems = [image.problem for image in images if image.problem is not None]
    if not problems:
        return None
    if len(problems) == len(images):
        raise problems[0]
    names = _names([image.name for image in images if image.problem is not None])
    what = f"{len(problems)} of {len(images)} pictures could not be read"
    return DataError(what, why=names, hint="omit these files")


def _write_failure(unwritten: list[OSError]) -> OutputError | None:
    if not unwritten:
        return None
    what, why = "the predictions were printed, but not all pictures were written", describe_os_error(unwritten[0])
    return OutputError(what, why=why, hint="free space or check the permissions, then run the command again")


def _names(names: list[str]) -> str:
    """Join names up to a length that a terminal can show."""
    text = ", ".join(names)
    if len(text) <= MAX_NAMES_CHARACTERS:
        return text
    return f"{text[:MAX_NAMES_CHARACTERS]}... ({len(names)} in all)"
