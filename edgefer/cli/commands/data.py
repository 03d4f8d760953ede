"""Check a data set."""

from __future__ import annotations

from pathlib import Path

import click

from edgefer.cli.options import PATH, DataOptions, open_data
from edgefer.cli.outputs import INPUT
from edgefer.text_table import Result


@click.group()
def command() -> None:
    """Check a data set before training on it.

    \b
    Example:
        edgefer data check fer2013.csv
    """


@command.command()
@click.argument("path", metavar="PATH", type=INPUT)
@click.option("--ferplus", type=PATH, metavar="FILE", help="FER+ votes for the same images (fer2013new.csv).")
@click.option("--skip-bad-rows", is_flag=True, help="Skip invalid rows instead of failing.")
def check(path: str, ferplus: Path | None, skip_bad_rows: bool) -> Result:
    """Count classes, constant images and exact duplicates.

    PATH is a data set as for --data of the other commands.

    \b
    Example:
        edgefer data check fer2013.csv
    """
    from edgefer.data.validation import check as check_dataset, summary

    return summary(check_dataset(open_data(DataOptions(path, ferplus, skip_bad_rows))))
