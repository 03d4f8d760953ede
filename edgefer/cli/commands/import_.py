"""Add a contract to a model from another program."""

from __future__ import annotations

from pathlib import Path

import click

from edgefer.cli.data_options import DataOptions, data_options
from edgefer.cli.foreign import FeedOptions, feed_options, import_network, import_tflite
from edgefer.cli.options import PATH
from edgefer.cli.outputs import OUTPUT_FILE, OUTPUT_FOLDER
from edgefer.errors import UsageError
from edgefer.file_kinds import TFLITE, describe_kind
from edgefer.text_table import Result


@click.command()
@click.argument("model", type=PATH)
@data_options
@feed_options
@click.option("--trust", is_flag=True, help="Load a Keras file or a SavedModel that could run code of its author.")
@click.option("--output", type=OUTPUT_FILE, metavar="FILE", help="For a .tflite.  [default: MODEL-edgefer.tflite]")
@click.option(
    "--run", "folder", type=OUTPUT_FOLDER, metavar="FOLDER", help="For other models.  [default: runs/TIME-MODEL]"
)
def command(
    model: Path, data: DataOptions, feed: FeedOptions, trust: bool, output: Path | None, folder: Path | None
) -> Result:
    """Determine the input of MODEL and the class of each output, and write both into a contract.

    MODEL is a .tflite, a Keras model (.keras or .h5), a SavedModel folder or an .onnx file. A .tflite is copied with
    its contract. Of other models, edgefer writes a run folder, which quantize, evaluate, bench and report take like a
    trained run.

    With --data, every plausible combination of channels, pixel range and interpolation is scored on Training faces, and
    the outputs are matched with the classes. The best combination is taken if it is significantly better than all
    others. A model with a wrong input does not fail; it only has a lower accuracy.

    \b
    Example:
        edgefer import my_model.h5 --data my_faces/
        edgefer import emotions.tflite --data fer2013.csv
        edgefer import emotions.tflite --labels sad,happy --input gray,-1..1
    """
    from edgefer.report.terminal.model_import import import_text

    if describe_kind(model) == TFLITE:
        if folder is not None or trust:
            option = "--trust" if trust else "--run"
            raise UsageError(f"{option} with a .tflite", why="it is copied with its contract", hint=f"omit {option}")
        record = import_tflite(model, data, feed, output or Path(f"{model.stem}-edgefer.tflite"))
    else:
        if output is not None:
            raise UsageError("--output with a model that is not a .tflite", why="it becomes a run", hint="--run FOLDER")
        record = import_network(model, data, feed, trust=trust, folder=folder)[0]
    return Result(record.to_json(), import_text(record))
