"""Commands of the command line, for tests that check each of them."""

import click

from edgefer.cli.main import app

__all__ = ["leaf_commands"]


def leaf_commands():
    """Return (words, command) for each command that is not a group, such as (["devices", "add"], Command)."""
    return list(_leaves(app, []))


def _leaves(command, words):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _leaves(command.get_command(context, name), [*words, name])
    else:
        yield words, command
