"""Command line of a bundle, after edgefer.cli.bootstrap has checked the packages.

    python bundle.pyz                               # describe the bundle and replay its golden vectors
    python bundle.pyz photo.jpg                     # edgefer predict photo.jpg
    python bundle.pyz bench                         # edgefer bench of the model in the bundle
    python bundle.pyz job                           # serve a benchmark to another machine over stdin and stdout
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from edgefer import __version__, plugins
from edgefer.cli.main import COMMANDS, run
from edgefer.cli.streams import prepare_streams, write
from edgefer.contract.split_names import split_phrase
from edgefer.errors import EdgeferError
from edgefer.models import bundled
from edgefer.text_table import WIDTH, percent

if TYPE_CHECKING:
    from edgefer.inference.classifier import Classifier

__all__ = ["describe", "main"]

INDENT = 10


def main(arguments: list[str]) -> int:
    """Run one command line of a bundle and return its exit code."""
    if arguments == ["job"]:
        from edgefer.benchmark import remote_worker

        remote_worker.main()
    if arguments:
        return run(["predict", *arguments] if _is_picture(arguments[0]) else arguments)
    prepare_streams()
    try:
        write(describe(Path(sys.argv[0]).name))
    except EdgeferError as error:
        write(f"edgefer: {error}", to_stderr=True)
        return error.exit_code
    return 0


def describe(file: str) -> str:
    """Describe the bundle ``file`` and its commands; this replays the golden vectors of its model.

    Raises:
        EdgeferError: the model gives wrong outputs on this machine, or cannot run.
    """
    path = bundled()
    lines = _describe_model(path, file) if path else [f"{file}: edgefer {__version__} for boards, without a model"]
    uses = [f"photo.jpg{'' if path else ' --model MODEL'}", "COMMAND --help"]
    commands = _wrap("COMMAND:", f"one of {', '.join(plugins.names(COMMANDS))}")
    return "\n".join([*lines, "", *(f"python3 {file} {use}" for use in uses), *commands])


def _is_picture(argument: str) -> bool:
    """Return True for a file name or "-"; a mistyped command is not one: click suggests the right command."""
    if argument == "-":
        return True
    has_path_syntax = "." in argument or "/" in argument or Path(argument).exists()
    return argument not in plugins.names(COMMANDS) and not argument.startswith("-") and has_path_syntax


def _describe_model(path: Path, file: str) -> list[str]:
    from edgefer.inference.classifier import Classifier

    classifier = Classifier.open(path, check=False)
    artifact, runtime = classifier.artifact, classifier.runtime
    error, golden = classifier.replay(), artifact.golden
    facts = {
        "model:": f"{path.stem}, {artifact.scheme}, {len(artifact.model):,} bytes, sha256 {artifact.sha256[:12]}",
        "labels:": ", ".join(artifact.labels),
        "accuracy:": _accuracy(classifier),
        "needs:": "Python 3.10 to 3.13, numpy, OpenCV, and LiteRT or tflite-runtime",
        "runs on:": f"{runtime.name} {runtime.version}",
        "golden:": f"ok, {len(golden.inputs)} vectors differ by at most {error:g} {golden.unit} "
        f"(tolerance {golden.tolerance:g})",
    }
    title = f"{file}: facial-expression recognition, edgefer {__version__}"
    return [title, "", *(line for name, fact in facts.items() for line in _wrap(name, fact))]


def _accuracy(classifier: Classifier) -> str:
    scores = classifier.artifact.provenance.get("scores")
    if not isinstance(scores, dict) or not {"accuracy", "n", "split"} <= scores.keys():
        return "not recorded"
    data = classifier.artifact.provenance.get("data")
    split = split_phrase(str(scores["split"]), data=str(data.get("name")) if isinstance(data, dict) else "")
    return f"{percent(scores['accuracy'])} of {scores['n']:,} images of {split}"


def _wrap(title: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=title.ljust(INDENT), subsequent_indent=" " * INDENT)
