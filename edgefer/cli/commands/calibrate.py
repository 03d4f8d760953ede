"""edgefer calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH, data_options, open_data, say
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.data.dataset import Dataset

NEEDS_WORKSTATION = True


@click.command(short_help="Choose the faces that calibrate int8 models.")
@click.argument("path", metavar="SET.csv", type=PATH)
@data_options
@click.option("--size", type=click.IntRange(1), metavar="N", default=500, show_default=True, help="How many faces.")
@click.option("--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Which faces.")
@click.option("--run", "folder", type=PATH, metavar="RUN", help="Use its data, without what chose its best epoch.")
def command(path: Path, size: int, seed: int, **options: Any) -> Result:
    """Choose the faces that calibrate int8 models and write down in SET.csv, by row and hash, which they are.

    They come from Training, as many of each class, spread over brightness and contrast; images with a single grey value
    or with an exact twin are left out. The same data, size and seed give the same file, byte for byte.

    \b
    Example:
        edgefer calibrate my-set.csv --data fer2013.csv --size 500 --seed 0
    """
    from edgefer import files
    from edgefer.workstation.quantization.calibration_data import candidates, summary
    from edgefer.workstation.quantization.calibration_set import check_target, to_csv

    check_target(path)
    found = candidates(_open(**options))
    chosen = found.choose(size=size, seed=seed)
    files.write_text(path, to_csv(chosen))
    return summary(chosen, found, path)


def _open(folder: Path | None, **data: Any) -> Dataset:
    from edgefer.workstation.training.loop import drop_validation
    from edgefer.workstation.training.run import find_run

    if folder is None:
        dataset = open_data(**data)
        if "PublicTest" not in dataset.splits:
            say("  A training will choose its best epoch on some of these images; --run RUN leaves them out.")
        return dataset
    run = find_run(folder)
    dataset = open_data(**(data if data["data"] else run.opened_with()))
    run.require_data(dataset)
    return drop_validation(dataset, run.settings())
