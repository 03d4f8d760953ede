"""edgefer predict"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer.commands._options import PATH, RUNTIMES, say
from edgefer.errors import DataError
from edgefer.result import Result

if TYPE_CHECKING:
    from edgefer.board.classifier import Classifier, Prediction


@click.command(short_help="Name the expression on pictures.")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=PATH)
@click.option("--model", type=PATH, metavar="FILE", help="A .tflite.  [default: the newest, else the one that ships]")
@click.option("--runtime", metavar="NAME", help=f"One of {RUNTIMES}.  [default: the best installed]")
@click.option("--threads", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Threads to run on.")
def command(images: tuple[Path, ...], model: Path | None, runtime: str | None, threads: int) -> Result:
    """Name the expression on each IMAGE, a picture cropped to one face.

    What a model names is how a face looks, not what a person feels.

    \b
    Example:
        edgefer predict face.png --model runs/latest/compact_small-int8.tflite
    """
    from edgefer import records
    from edgefer.board.classifier import Classifier
    from edgefer.models import find_model
    from edgefer.result import percent, table

    path, reason = find_model(model)
    say(f"model: {path} ({reason})")
    classifier = Classifier.open(path, runtime=runtime, threads=threads)
    predictions = [_predict(classifier, image) for image in images]
    entries = [
        {
            "image": str(image),
            "label": each.label,
            "probabilities": dict(zip(classifier.artefact.labels, each.probabilities.tolist())),
        }
        for image, each in zip(images, predictions)
    ]
    rows = [[str(image), each.label, percent(each.probability)] for image, each in zip(images, predictions)]
    record = {**records.stamp("predictions", 1), "model": str(path), "predictions": entries}
    return Result(record, table(["image", "expression", "probability"], rows))


def _predict(classifier: Classifier, image: Path) -> Prediction:
    from edgefer.preprocess import read_image

    try:
        return classifier.predict(read_image(image.read_bytes()))
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(f"cannot read {image}", why=why, fix="give pictures such as face.png") from error
    except DataError as error:
        fix = error.fix or "give pictures such as face.png"
        raise DataError(f"{image}: {error.what}", why=error.why, fix=fix) from error
