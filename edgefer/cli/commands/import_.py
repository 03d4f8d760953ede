"""Give a model of another program a contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer.cli.options import PATH, DataOptions, data_options, log, open_data
from edgefer.cli.outputs import OUTPUT_FILE
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.results.model_import import ModelImport


@click.command()
@click.argument("model", type=PATH)
@data_options
@click.option(
    "--labels", metavar="NAMES", help="Class names in the order of the outputs: a,b,c, or a file with one per line."
)
@click.option(
    "--input",
    "words",
    metavar="WORDS",
    help="Channels and range of the pixels, such as gray,-1..1 or rgb,imagenet.  [default: found on the data]",
)
@click.option("--output", type=OUTPUT_FILE, metavar="FILE", help="File to write.  [default: MODEL-edgefer.tflite]")
def command(model: Path, data: DataOptions, labels: str | None, words: str | None, output: Path | None) -> Result:
    """Find out how MODEL, a .tflite without a contract, expects its input, and write a copy that carries a contract.

    With --data, every plausible combination of channels, pixel range and interpolation is scored on Training faces, and
    the labels are matched with the outputs. The best combination is taken if it is significantly better than all
    others. A model that is fed wrongly does not fail; it only has a lower accuracy.

    \b
    Example:
        edgefer import emotions.tflite --data fer2013.csv
        edgefer import emotions.tflite --labels sad,happy --input gray,-1..1
    """
    from edgefer.report.terminal.model_import import import_text

    record = _import_tflite(model, data, labels, words, output or Path(f"{model.stem}-edgefer.tflite"))
    return Result(record.to_json(), import_text(record))


def _import_tflite(path: Path, data: DataOptions, labels: str | None, words: str | None, output: Path) -> ModelImport:
    from edgefer.contract.input_description import describe_input
    from edgefer.file_kinds import TFLITE
    from edgefer.inference.model_import import ForeignModel, choose_input, make_artifact, parse_labels, sidecar_labels
    from edgefer.progress import progress_bar
    from edgefer.results.model_import import ModelImport, TriedInput

    model = ForeignModel.open(path)
    log(f"model: {path}, {describe_input(model.spec)}, {model.classes} outputs")
    names, source = (parse_labels(labels), "--labels") if labels else (None, "--labels")
    if names is None and (sidecar := sidecar_labels(path, model.classes)):
        names, source = sidecar
    dataset = open_data(data, spec=model.spec) if data.data is not None or not (names and words) else None
    with progress_bar("trying inputs") as progress:
        choice = choose_input(model, labels=names, labels_from=source, words=words, dataset=dataset, progress=progress)
    make_artifact(model, choice, dataset=dataset).save(output)
    search = choice.search
    trials = search.trials if search else ()
    return ModelImport(
        file=path.name,
        kind=TFLITE,
        path=str(output),
        input=choice.spec.to_json(),
        described_input=describe_input(choice.spec, always_range=True),
        labels=choice.labels,
        labels_from=choice.labels_from,
        output=choice.output,
        tried=tuple(TriedInput(describe_input(trial.spec, always_range=True), trial.accuracy) for trial in trials),
        faces=len(search.best.hits) if search else 0,
        data=dataset.layout if dataset else "",
        notes=choice.notes,
    )
