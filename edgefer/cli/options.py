"""Options, parsers and helpers that several commands share.

    @click.command()
    @click.option("--threads", type=parse_threads)
    def command(threads: tuple[int, ...] | None) -> Result: ...

Options that belong together arrive as one frozen dataclass:

    @option_group("limits", Limits, click.option("--frames", type=int), click.option("--seconds", type=float))
    def command(limits: Limits) -> Result: ...
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from edgefer import plugins
from edgefer.cli.outputs import PATH
from edgefer.cli.streams import write
from edgefer.errors import UsageError
from edgefer.escaping import printable

__all__ = [
    "MODEL_HELP", "NAME", "PATH", "POSITIVE", "RUNTIMES", "SECONDS", "FiniteRange", "detector_options", "is_given",
    "log", "log_ignored_settings", "option_group", "optional_flag", "parse_face_count", "parse_threads",
]  # fmt: skip

RUNTIMES = ", ".join(plugins.names("edgefer.inference.runtimes"))
DETECTORS = ", ".join(plugins.names("edgefer.inference.detectors"))
MODEL_HELP = "A .tflite.  [default: the newest in runs/, else the shipped model small]"
Callback = TypeVar("Callback", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def log(message: str) -> None:
    """Print a status message of one line on stderr; line breaks in it, such as in the name of a file, are escaped."""
    write(printable(message, kept=""), to_stderr=True)


def parse_threads(text: str) -> tuple[int, ...]:
    """Parse thread counts such as "1,2,4"; duplicates are dropped.

    Raises:
        UsageError: ``text`` is not a list of positive integers.
    """
    counts = [count.strip() for count in text.split(",")]
    if not all(count.isdecimal() and int(count) > 0 for count in counts):
        raise UsageError(f"--threads {text}", why="expected positive integers", hint="--threads 1,2,4")
    return tuple(dict.fromkeys(map(int, counts)))


def parse_face_count(text: str, *, option: str, words: Mapping[str, int | None], example: int) -> int | None:
    """Parse a positive number of faces, or a word that represents one.

    Args:
        text: value of the option.
        option: name of the option, for the error.
        words: the accepted words and their values.
        example: a valid number, for the error.

    Raises:
        UsageError: ``text`` is neither.
    """
    if text in words:
        return words[text]
    if not (text.isdecimal() and int(text) > 0):
        why = f"expected a positive integer or {' or '.join(map(repr, words))}"
        raise UsageError(f"{option} {text}", why=why, hint=f"{option} {example}")
    return int(text)


class FiniteRange(click.FloatRange):
    """A range of finite numbers; click.FloatRange accepts "nan", and "inf" where it has no upper bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse a number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class _Name(click.types.StringParamType):
    """Refuse an empty text, such as an unset variable of a shell: it would select the default."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse a name."""
        if value == "":
            self.fail("the value is empty.", param, ctx)
        return super().convert(value, param, ctx)


NAME = _Name()
POSITIVE = FiniteRange(0, min_open=True)
SECONDS = FiniteRange(0)


def is_given(parameter: str) -> bool:
    """Return True if the user has set a parameter of the current command, also to its default."""
    return click.get_current_context().get_parameter_source(parameter) is not ParameterSource.DEFAULT


def optional_flag(*names: str, help: str) -> Decorator:  # noqa: A002 - the name in click
    """Return a decorator for a flag such as "--detect/--no-detect" whose value is None if it is not given."""

    def value_if_given(context: click.Context, parameter: click.Parameter, value: bool | None) -> bool | None:
        # Click before 8.3 replaces the default None of a flag by False.
        return value if is_given(str(parameter.name)) else None

    return click.option(*names, default=None, callback=value_if_given, help=help)


def option_group(name: str, kind: Callable[..., Any], *options: Decorator) -> Callable[[Callback], Callback]:
    """Add options to a command and pass their values as one dataclass.

    Args:
        name: parameter of the command that receives the dataclass.
        kind: the dataclass; each of its fields is the name of one option, or has a default.
        options: click.option() decorators, in the order of --help.
    """
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]

    def decorate(callback: Callback) -> Callback:
        @functools.wraps(callback)
        def grouped(*args: Any, **values: Any) -> Any:
            group = kind(**{field: values.pop(field) for field in fields if field in values})
            return callback(*args, **{name: group}, **values)

        decorated: Callable[..., Any] = grouped
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[return-value]

    return decorate


def detector_options(callback: Callback) -> Callback:
    """Add --detector and --detector-model to a command."""
    callback = click.option(
        "--detector-model", type=PATH, metavar="FILE", help="Model file, for a detector that needs one."
    )(callback)
    return click.option(
        "--detector", default="haar", show_default=True, metavar="NAME", help=f"Face detector: {DETECTORS}."
    )(callback)


def log_ignored_settings() -> None:
    """Pin the environment of Keras, TensorFlow and JAX, and print the user's settings that are ignored."""
    from edgefer.workstation.networks.backend import numeric_choices, pin_environment

    ignored = pin_environment()
    if ignored:
        log(f"ignored: {', '.join(ignored)}")
    choices = ", ".join(f"{name}={value}" for name, value in numeric_choices().items())
    if choices:
        log(f"weights may differ in their last bits from those of other runs: {choices}")
