"""Export a model as a bundle or as C++ source."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH, log
from edgefer.cli.outputs import OUTPUT_FOLDER
from edgefer.errors import UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.contract.artifact import Artifact


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, type=PATH)
@click.option("--zip", "as_zip", is_flag=True, help="Write a .pyz that runs on a board with python3.")
@click.option("--c-array", "as_c_array", is_flag=True, help="Write a .h and a .cc for TensorFlow Lite Micro.")
@click.option(
    "--output-dir", type=OUTPUT_FOLDER, default=".", metavar="FOLDER",
    help="Output folder.  [default: the working folder]",
)  # fmt: skip
def command(model: Path | None, as_zip: bool, as_c_array: bool, output_dir: Path) -> Result:
    """Export MODEL in a form that runs without an edgefer installation.

    The default MODEL is the newest .tflite in runs/, or the shipped model small if there is none.

    The .pyz contains the model and the part of edgefer that runs on boards. A board needs Python 3.10 to 3.13, numpy,
    OpenCV and a TensorFlow Lite runtime; the .pyz prints the command that installs missing packages. The .h and .cc
    define the model as an array and its contract as constants. They list the operators to register and the arena size,
    and contain vectors for a self-test.

    \b
    Example:
        edgefer export --zip
        edgefer export model.tflite --c-array --output-dir firmware/src
    """
    from edgefer import files
    from edgefer.contract.artifact import Artifact
    from edgefer.models import find_model
    from edgefer.results import schema

    if not as_zip and not as_c_array:
        raise UsageError("no export format", why="expected --zip, --c-array or both", hint="edgefer export --zip")
    path, reason = find_model(model)
    log(f"model: {path} ({reason})")
    artifact = Artifact.load(path)
    # Build every export before writing any file.
    exports = [_bundle(artifact, path, output_dir)] if as_zip else []
    exports += [_c_array(artifact, path)] if as_c_array else []
    contents = {output_dir / name: content for export in exports for name, content in export.files.items()}
    for target, content in contents.items():
        files.write_bytes(target, content)
    facts = {key: value for export in exports for key, value in export.facts.items()}
    record = {**schema.header("export", 1), "model": str(path), "sha256": artifact.sha256, **facts}
    return Result({**record, "files": _list(contents)}, _format(contents, [export.advice for export in exports]))


@dataclass(frozen=True)
class _Export:
    """A model in one export format.

    Attributes:
        files: content by file name.
        facts: entries of the command's record.
        advice: next steps for the user.
    """

    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    advice: str


def _bundle(artifact: Artifact, model: Path, folder: Path) -> _Export:
    from edgefer.deploy.bundle import SUFFIX, bundle

    name = f"{model.stem}{SUFFIX}"
    local, remote = shlex.quote(str(folder / name)), shlex.quote(name)
    advice = f"next: scp {local} pi@raspberrypi.local:\nthen on the board: python3 {remote} photo.jpg"
    return _Export({name: bundle(artifact, name=model.stem)}, {}, advice)


def _c_array(artifact: Artifact, model: Path) -> _Export:
    from edgefer.deploy.c_array import c_array

    source = c_array(artifact, name=model.stem)
    header, requirements = next(iter(source.files)), source.requirements
    facts = {"namespace": source.namespace, **requirements.to_json()}
    advice = (
        f"next: add both files to the firmware; {header} has an example\n"
        f"arena: {requirements.arena_bytes:,} bytes, {requirements.planned_bytes:,} of them planned; "
        "the header lists the parts"
    )
    return _Export({name: text.encode() for name, text in source.files.items()}, {"c_array": facts}, advice)


def _list(contents: Mapping[Path, bytes]) -> list[dict[str, Any]]:
    return [
        {"file": str(path), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in contents.items()
    ]


def _format(contents: Mapping[Path, bytes], advice: list[str]) -> str:
    from edgefer.text_table import table

    rows = [[path, f"{len(content):,}"] for path, content in contents.items()]
    return "\n".join([table(["file", "bytes"], rows), *advice])
