"""Build a calibration set for int8 quantization."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer.cli.data_options import DataOptions, data_options, open_data, open_run_data
from edgefer.cli.options import PATH, log
from edgefer.cli.outputs import OUTPUT_FILE
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.data.dataset import Dataset

NEEDS_WORKSTATION = True


@click.command()
@click.argument("path", metavar="SET.csv", type=OUTPUT_FILE)
@data_options
@click.option("--size", type=click.IntRange(1), metavar="N", default=500, show_default=True, help="Number of faces.")
@click.option("--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Random seed.")
@click.option(
    "--run", "run_folder", type=PATH, metavar="RUN", help="Use the data of a run, without its validation images."
)
def command(path: Path, data: DataOptions, size: int, seed: int, run_folder: Path | None) -> Result:
    """Select the faces that calibrate int8 models, and write their rows and hashes to SET.csv.

    The faces come from the Training split, the same number per class, and cover the range of brightness and contrast.
    Constant images and images with exact duplicates are excluded. The same data, size and seed give the same bytes.

    \b
    Example:
        edgefer calibrate my-set.csv --data fer2013.csv --size 500 --seed 0
    """
    from edgefer import files
    from edgefer.report.terminal.quantization import calibration_set_text
    from edgefer.workstation.quantization.calibration_data import calibration_pool, selection_record
    from edgefer.workstation.quantization.calibration_set import check_target, to_csv

    check_target(path)
    pool = calibration_pool(_open(run_folder, data))
    selection = pool.select(size=size, seed=seed)
    files.write_text(path, to_csv(selection))
    record = selection_record(selection, pool, path)
    return Result(record, calibration_set_text(record))


def _open(run_folder: Path | None, data: DataOptions) -> Dataset:
    """Load the data set; with a run, without the images that select its best epoch."""
    from edgefer.workstation.training.run import find_run
    from edgefer.workstation.training.validation import drop_validation, validation_split

    if run_folder is None:
        dataset = open_data(data)
        if "PublicTest" not in dataset.splits:
            log("  Training runs select their best epoch on some of these images; --run RUN excludes them.")
        return dataset
    run = find_run(run_folder)
    dataset = open_run_data(run, data)
    run.require_data(dataset)
    return drop_validation(dataset, validation_split(dataset, run.settings()))
