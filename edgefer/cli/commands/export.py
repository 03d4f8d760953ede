"""edgefer export"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH, say
from edgefer.errors import UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.contract.artifact import Artifact


@click.command(short_help="Write a model as a bundle or as C++ source.")
@click.argument("model", metavar="[MODEL]", required=False, type=PATH)
@click.option("--zip", "as_zip", is_flag=True, help="A .pyz that runs on a board with python3.")
@click.option("--c-array", is_flag=True, help="A .h and a .cc for TensorFlow Lite Micro.")
@click.option("--output-dir", "into", type=PATH, default=".", metavar="FOLDER", help="Where to.  [default: the working folder]")
def command(model: Path | None, as_zip: bool, c_array: bool, into: Path) -> Result:
    """Write a MODEL (default: the newest artifact, else the model that ships) in a form that needs no edgefer.

    The .pyz holds the model and edgefer's board side. A board needs Python 3.10 to 3.13, numpy, OpenCV and a TensorFlow
    Lite runtime; what is missing is said there, with the line that installs it. The .h and .cc hold the model as an
    array, its contract as constants, the operators to link, the memory to give it, and vectors for a self-test.

    \b
    Example:
        edgefer export --zip
        edgefer export model.tflite --c-array --output-dir firmware/src
    """
    from edgefer.contract.artifact import Artifact
    from edgefer.files import write_bytes
    from edgefer.models import find_model
    from edgefer.results import schema

    if not as_zip and not c_array:
        raise UsageError("nothing to export", why="--zip or --c-array says what", hint="edgefer export --zip")
    path, reason = find_model(model)
    say(f"model: {path} ({reason})")
    artifact = Artifact.load(path)
    # Both are made before either is written.
    made = [*([_zip(artifact, path)] if as_zip else []), *([_c_array(artifact, path)] if c_array else [])]
    files = {into / name: content for each in made for name, content in each.files.items()}
    for target, content in files.items():
        write_bytes(target, content)
    facts = {key: value for each in made for key, value in each.facts.items()}
    record = {**schema.header("export", 1), "model": str(path), "sha256": artifact.sha256, **facts}
    return Result({**record, "files": _listed(files)}, _text(files, [each.advice for each in made]))


@dataclass(frozen=True)
class _Made:
    """The files of one form of a model by name, facts on them for the record, and what to do with them."""

    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    advice: str


def _zip(artifact: Artifact, model: Path) -> _Made:
    from edgefer.deploy.bundle import SUFFIX, bundle

    name = f"{model.stem}{SUFFIX}"
    advice = f"next: scp {name} pi@raspberrypi.local:\nand there: python3 {name} photo.jpg"
    return _Made({name: bundle(artifact, name=model.stem)}, {}, advice)


def _c_array(artifact: Artifact, model: Path) -> _Made:
    from edgefer.deploy.c_array import c_array

    made = c_array(artifact, name=model.stem)
    header, needs = next(iter(made.files)), made.needs
    facts = {"namespace": made.namespace, **asdict(needs)}
    advice = (
        f"next: add both to a firmware, as {header} shows\n"
        f"arena: {needs.arena_bytes:,} bytes, of which {needs.planned_bytes:,} are planned; the header says what for"
    )
    return _Made({name: text.encode() for name, text in made.files.items()}, {"c_array": facts}, advice)


def _listed(files: Mapping[Path, bytes]) -> list[dict[str, Any]]:
    return [
        {"file": str(path), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in files.items()
    ]


def _text(files: Mapping[Path, bytes], advice: list[str]) -> str:
    from edgefer.text_table import table

    rows = [[path, f"{len(content):,}"] for path, content in files.items()]
    return "\n".join([table(["file", "bytes"], rows), *advice])
