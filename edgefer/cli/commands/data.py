"""edgefer data"""

from __future__ import annotations

from pathlib import Path

import click

from edgefer.cli.options import PATH, open_data
from edgefer.text_table import Result


@click.group()
def command() -> None:
    """Look at a data set: data check PATH."""


@command.command()
@click.argument("path", metavar="PATH")
@click.option("--ferplus", type=PATH, metavar="FILE", help="FER+ votes of the same images, fer2013new.csv.")
@click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be used instead of refusing.")
def check(path: str, ferplus: Path | None, skip_bad_rows: bool) -> Result:
    """Count classes, constant images and exact twins in the data set at PATH.

    \b
    Example:
        edgefer data check fer2013.csv
    """
    from edgefer.data.validation import check as check_dataset, summary

    found = check_dataset(open_data(path, ferplus, skip_bad_rows))
    return summary(found)
