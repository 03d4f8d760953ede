"""Run every command of the ``console`` blocks in README.md and docs/, and check the options of all other commands.

A block marked ``console`` holds commands that run without a board, a camera or FER2013: each line that starts with
``$ edgefer`` is executed, in the order of the page. Lines below it are compared with the output, numbers masked;
``...`` stands for any lines. Commands in ``sh`` and ``text`` blocks are parsed, but not executed.
"""

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

from edgefer.cli import main
from edgefer.contract.labels import LABELS
from edgefer.data.synthetic import draw
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.converter import convert

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PHOTO = ROOT / "tests" / "fixtures" / "astronaut.jpg"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPLITS = {"Training": 140, "PublicTest": 70, "PrivateTest": 35}
# These pages train their own runs/demo.
STANDALONE = {"README.md", "getting-started.md"}


def blocks(page, *kinds):
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def sessions(text):
    """Yield (command line, expected output lines) for each ``$`` line of a block."""
    joined = text.replace("\\\n", " ")
    for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, [line for line in output.splitlines() if line.strip()]


def commands(text):
    """Yield the words of each edgefer command in a block, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        found = re.match(r"\s*(?:\$ )?(?:\S*/)?edgefer (.*)", line)
        if found:
            yield shlex.split(found[1], comments=True)


def masked(line):
    """Return ``line`` without what differs between two runs: numbers, times, table rules and spacing."""
    text = re.sub(r"[─-╿]+|\s+", " ", line)
    return re.sub(r"[-+]?\d[\d,.:-]*", "0", text).strip()


def write_csv(path):
    lines = ["emotion,pixels,Usage"]
    for seed, (usage, count) in enumerate(SPLITS.items(), 1):
        faces, labels = draw(count, seed=seed)
        lines += [
            f"{label},{' '.join(map(str, face.ravel()))},{usage}" for face, label in zip(faces, labels, strict=True)
        ]
    path.write_text("\n".join(lines) + "\n")


def write_class_folders(folder):
    """Write my_faces/ with pictures of ten persons in three classes, and a table of some of them."""
    faces, labels = draw(210, seed=5)
    rows = ["file,mood"]
    for index, (face, label) in enumerate(zip(faces, labels, strict=True)):
        name = {"angry": "anger", "happy": "happiness", "neutral": "neutral"}.get(LABELS[label])
        if name:
            path = folder / "my_faces" / name / f"person{index % 10}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), face)
            rows.append(f"{path.relative_to(folder)},{'froh' if name == 'happiness' else 'traurig'}")
    (folder / "moods.csv").write_text("\n".join(rows) + "\n")
    (folder / "names.toml").write_text('froh = "happy"\ntraurig = "sad"\n')


@contextlib.contextmanager
def working_in(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def run(words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.run(words)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Return a folder with the files in the commands of the pages."""
    folder = tmp_path_factory.mktemp("inputs")
    photo = cv2.imread(str(PHOTO))
    shutil.copy(PHOTO, folder / "photo.jpg")
    (folder / "faces").mkdir()
    for index, face in enumerate(draw(3, seed=4)[0]):
        cv2.imwrite(str(folder / "faces" / f"{index}.png"), face)
    writer = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, photo.shape[1::-1])
    for _ in range(6):
        writer.write(photo)
    writer.release()
    write_csv(folder / "fer2013.csv")
    write_class_folders(folder)
    return folder


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory):
    """Return a copy of ``inputs`` with a short run, its int8 model and two results."""
    folder = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(inputs, folder)
    with working_in(folder):
        for line in (
            # The table of a few faces is read faster than synthetic faces are drawn, in each command.
            "train --data fer2013.csv --system demo --epochs 1 --set batch_size=32 --run runs/demo",
            "quantize runs/demo --int8",
            "bench runs/demo/demo-int8.tflite --runs 10 --seconds 0 --out runs/demo/bench.json",
        ):
            code, _, err = run(line.split())
            assert code == 0, err
        write_foreign_models()
    return folder


def write_foreign_models():
    """Write my_pictures/, noisy copies of one template per class, and two models that compare an image with them."""
    generator = np.random.default_rng(0)
    templates = np.linspace(60, 200, len(LABELS))[:, None, None] + generator.uniform(-40, 40, (len(LABELS), 48, 48))
    for split, count in (("train", 40), ("val", 20)):
        for label, template in zip(LABELS, templates):
            folder = Path("my_pictures", split, label)
            folder.mkdir(parents=True)
            for number in range(count):
                face = template + generator.normal(0, 30, template.shape)
                cv2.imwrite(str(folder / f"{number}.png"), np.clip(face, 0, 255).astype(np.uint8))
    keras = load_keras(backend="tensorflow")
    model = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(len(LABELS))])
    weights = (templates.reshape(len(LABELS), -1) / 127.5 - 1).astype(np.float32)
    model.layers[-1].set_weights([weights.T, -0.5 * (weights**2).sum(axis=1)])
    model.save("my_model.h5")
    Path("emotions.tflite").write_bytes(convert(model))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")], ids=lambda page: page.name)
def test_commands_of_a_page_run_and_print_what_it_shows(page, inputs, request, tmp_path, monkeypatch):
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    source = inputs if page.name in STANDALONE else request.getfixturevalue("trained")
    folder = tmp_path / "work"
    shutil.copytree(source, folder, symlinks=True)
    if page.name == "README.md":
        # Its commands train on synthetic faces, which requires a folder without FER2013.
        (folder / "fer2013.csv").unlink()
    monkeypatch.chdir(folder)
    for block in blocks(page, "console"):
        for command, expected in sessions(block):
            words = shlex.split(command, comments=True)
            assert words[0] == "edgefer", command
            code, out, err = run(words[1:])
            assert code == 0, f"{command}\n{err}"
            printed = {masked(line) for line in (out + err).replace("\r", "\n").splitlines()}
            missing = [line for line in expected if line != "..." and masked(line) not in printed]
            assert not missing, f"{command} did not print:\n" + "\n".join(missing) + f"\nbut:\n{err}{out}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_not_run_have_the_options_they_show(page):
    for block in blocks(page, "sh", "text"):
        for words in commands(block):
            context = click.Context(main.app, info_name="edgefer")
            name, command, rest = main.app.resolve_command(context, words)
            while isinstance(command, click.Group) and rest:
                name, command, rest = command.resolve_command(click.Context(command, info_name=name), rest)
            with contextlib.suppress(click.exceptions.Exit):
                command.make_context(name, list(rest))
