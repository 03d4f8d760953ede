"""What a bundle (edgefer.deploy.bundle) does when it is started.

    python bundle.pyz                               # says what it is and whether its model computes here what it should
    python bundle.pyz photo.jpg                      # edgefer predict photo.jpg
    python bundle.pyz bench                         # edgefer bench, of the model inside
    python bundle.pyz job                           # a bench for another machine: edgefer.benchmark.remote_worker
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgefer import __version__, plugins
from edgefer.cli import main as cli
from edgefer.errors import EdgeferError
from edgefer.models import bundled
from edgefer.text_table import WIDTH, percent

if TYPE_CHECKING:
    from edgefer.inference.classifier import Classifier

__all__ = ["about", "main"]

INDENT = 10


def main(arguments: list[str]) -> int:
    """Run one command line of a bundle; the exit code."""
    if arguments == ["job"]:
        from edgefer.benchmark import remote_worker

        remote_worker.main()
    if arguments:
        return cli.run(["predict", *arguments] if _is_picture(arguments[0]) else arguments)
    try:
        click.echo(about(Path(sys.argv[0]).name))
    except EdgeferError as error:
        click.echo(f"edgefer: {error}", err=True)
        return error.exit_code
    return 0


def about(file: str) -> str:
    """What the bundle ``file`` is, and what it can do; its golden vectors are run.

    Raises:
        EdgeferError: the model computes something else here, or cannot be run.
    """
    path = bundled()
    lines = _model(path, file) if path else [f"{file}: the board side of edgefer {__version__}, without a model"]
    uses = [f"photo.jpg{'' if path else ' --model MODEL'}", "COMMAND --help"]
    commands = _folded("COMMAND:", f"one of {', '.join(plugins.names(cli.COMMANDS))}")
    return "\n".join([*lines, "", *(f"python3 {file} {use}" for use in uses), *commands])


def _is_picture(argument: str) -> bool:
    # A mistyped command has neither; let click say which one was meant.
    looks_like_one = "." in argument or "/" in argument or Path(argument).exists()
    return argument not in plugins.names(cli.COMMANDS) and not argument.startswith("-") and looks_like_one


def _model(path: Path, file: str) -> list[str]:
    from edgefer.inference.classifier import Classifier

    classifier = Classifier.open(path, check=False)
    artifact, runtime = classifier.artifact, classifier.runtime
    worst, golden = classifier.replay(), artifact.golden
    vectors = f"ok, {worst:g} {golden.unit} off in the worst of {len(golden.inputs)}; {golden.tolerance:g} are allowed"
    facts = {
        "model:": f"{path.stem}, {artifact.scheme}, {len(artifact.model):,} bytes, sha256 {artifact.sha256[:12]}",
        "names:": ", ".join(artifact.labels),
        "accuracy:": _accuracy(classifier),
        "needs:": "Python 3.10 to 3.13, numpy, OpenCV, and LiteRT or tflite-runtime",
        "runs on:": f"{runtime.name} {runtime.version}",
        "golden:": vectors,
    }
    head = [f"{file}: the expressions of the faces on pictures, by edgefer {__version__}", ""]
    return head + [line for title, fact in facts.items() for line in _folded(title, fact)]


def _accuracy(classifier: Classifier) -> str:
    scores = classifier.artifact.provenance.get("scores")
    if not isinstance(scores, dict) or not {"accuracy", "n", "split"} <= scores.keys():
        return "its provenance does not say"
    return f"{percent(scores['accuracy'])} of {scores['n']:,} images of {scores['split']}"


def _folded(title: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=title.ljust(INDENT), subsequent_indent=" " * INDENT)
