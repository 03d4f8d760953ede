"""Check a data set."""

from __future__ import annotations

import dataclasses

import click

from edgefer.cli.data_options import DataOptions, data_options_without_data, open_data
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
@data_options_without_data
def check(path: str, data: DataOptions) -> Result:
    """Count classes, constant images and exact duplicates.

    PATH is a data set as for --data of the other commands.

    \b
    Example:
        edgefer data check fer2013.csv
        edgefer data check my_faces/ --split 80/10/10
    """
    from edgefer.data.validation import check as check_dataset, summary

    return summary(check_dataset(open_data(dataclasses.replace(data, data=path))))
