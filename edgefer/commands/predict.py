"""edgefer predict"""

from __future__ import annotations

from pathlib import Path

import click

from edgefer.commands._options import PATH, say
from edgefer.errors import DataError
from edgefer.result import Result


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=PATH)
@click.option("--model", type=PATH, metavar="FILE", help="A .tflite.  [default: the newest artefact, else the one that ships]")
@click.option("--runtime", metavar="NAME", help="Which runtime.  [default: the best installed]")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
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
    from edgefer.preprocess import read_image
    from edgefer.result import percent, table

    path, reason = find_model(model)
    say(f"model: {path} ({reason})")
    classifier = Classifier.open(path, runtime=runtime, threads=threads)
    entries = []
    for image in images:
        try:
            prediction = classifier.predict(read_image(image.read_bytes()))
        except OSError as error:
            raise DataError(f"cannot read {image}", why=error.strerror or str(error)) from error
        except DataError as error:
            raise DataError(f"{image}: {error.what}", why=error.why, fix=error.fix) from error
        probabilities = dict(zip(classifier.artefact.labels, prediction.probabilities.tolist()))
        entries.append({"image": str(image), "label": prediction.label, "probabilities": probabilities})
    rows = [[each["image"], each["label"], percent(each["probabilities"][each["label"]])] for each in entries]
    record = {**records.stamp("predictions", 1), "model": str(path), "predictions": entries}
    return Result(record, table(["image", "expression", "probability"], rows))
