"""Bundles run as on a board, by an interpreter that cannot import this checkout."""

import ast
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer import files
from edgefer.contract.artifact import Artifact
from edgefer.deploy.bundle import bundle
from edgefer.inference.classifier import Classifier
from edgefer.models import SHIPPED, bundled

HEAVY = ("jax", "keras", "matplotlib", "tensorflow", "tensorflow_model_optimization", "tf_keras", "torch")
# Run a program, then print where its modules came from.
LIST_MODULES = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0])
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert not ended.code, ended.code
for name, module in sorted(sys.modules.items()):
    print("LOADED", name, getattr(module, "__file__", None))
"""
# Request the live page over HTTP.
SERVE = """
import sys
from urllib.request import HTTPCookieProcessor, build_opener
sys.path.insert(0, sys.argv[1])
from edgefer.live.web import Address, serving
with serving(Address.parse(":0")) as page:
    opener = build_opener(HTTPCookieProcessor())
    opener.open(page.url).read()  # the token in the address becomes a cookie
    print(opener.open(page.url.partition("?")[0]).read().decode())
"""
# Run a program with an unsupported version of Python.
OLD = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.version_info = (3, 9, 2, "final", 0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# An editable install would find the packages that a bundle lacks in this checkout.
NOT_EDITABLE = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def artifact():
    # A temperature other than 1, so that a bundle that ignores it fails.
    return dataclasses.replace(Artifact.load(SHIPPED), temperature=0.85)


@pytest.fixture(scope="module")
def content(artifact):
    return bundle(artifact, name=SHIPPED.stem)


@pytest.fixture(scope="module")
def board(content, tmp_path_factory):
    """Return a folder with a bundle, a bundle without a model, and an image of a face."""
    folder = tmp_path_factory.mktemp("board")
    files.write_bytes(folder / "bundle.pyz", content)
    files.write_bytes(folder / "empty.pyz", bundle())
    cv2.imwrite(str(folder / "face.png"), Artifact.load(SHIPPED).golden.inputs[0])
    return folder


@pytest.fixture
def python(board):
    """Return a function that runs Python in that folder, without environment variables that lead to this checkout."""

    def run(*arguments, code=0, flag="-I", stdin=None):
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        command = [sys.executable, flag, *map(str, arguments)]
        ended = subprocess.run(
            command, cwd=board, env=environment, stdin=stdin, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    return run


def entries(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


# Content


def test_same_model_gives_the_same_bytes(artifact, content):
    assert bundle(artifact, name=SHIPPED.stem) == content


def test_bundle_exports_an_identical_bundle(python, board, content):
    python("bundle.pyz", "export", "--zip", "--output-dir", "again")
    assert (board / "again" / f"{SHIPPED.stem}.pyz").read_bytes() == content


def test_bundle_has_exactly_the_given_model(artifact, content):
    models = {name: model for name, model in entries(content).items() if name.endswith(".tflite")}
    assert models == {f"edgefer/models/bundled/{SHIPPED.name}": artifact.to_bytes()}


def test_no_module_imports_a_training_framework(content):
    for name, text in entries(content).items():
        if not name.startswith("edgefer/") or not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {imported.partition(".")[0] for imported in names} & set(HEAVY), name


def test_licenses_of_vendored_packages_are_included(content):
    licenses = [name for name, text in entries(content).items() if "LICENSE" in name and len(text) > 500]
    assert {name.partition("-")[0] for name in licenses} == {"click", "rich"}


def test_installed_edgefer_has_no_bundled_model():
    assert bundled() is None


# Commands


def test_without_arguments_it_describes_itself_and_replays_the_golden_vectors(python, artifact):
    out = python("bundle.pyz").stdout
    assert artifact.sha256[:12] in out
    assert ", ".join(artifact.labels) in out
    scores = artifact.provenance["scores"]
    assert f"{100 * scores['accuracy']:.2f} % of {scores['n']:,} images of {scores['split']}" in out
    golden = artifact.golden
    difference = rf"{len(golden.inputs)} vectors differ by at most \d steps \(tolerance {golden.tolerance:g}\)"
    assert re.search(rf"golden: +ok, {difference}", out)
    assert max(map(len, out.splitlines())) <= 80


def test_image_path_runs_predict(python, artifact):
    record = json.loads(python("bundle.pyz", "face.png", "--no-detect", "--json").stdout)
    expected = Classifier.from_artifact(artifact).predict(artifact.golden.inputs[0])
    ((prediction,),) = [image["faces"] for image in record["predictions"]]
    assert prediction["label"] == expected.label
    probabilities = [prediction["probabilities"][label] for label in artifact.labels]
    np.testing.assert_array_equal(np.float32(probabilities), expected.probabilities)


def test_a_picture_on_standard_input_is_predicted(python, board):
    with (board / "face.png").open("rb") as picture:
        (image,) = json.loads(python("bundle.pyz", "-", "--no-detect", "--json", stdin=picture).stdout)["predictions"]
    assert (image["image"], len(image["faces"])) == ("-", 1)


def test_only_numpy_opencv_and_the_runtime_come_from_outside_the_bundle(python, board):
    out = python("-c", LIST_MODULES, "bundle.pyz", "face.png").stdout
    loaded = dict(re.findall(r"^LOADED (\S+) (.*)$", out, re.MULTILINE))
    vendored = {name: path for name, path in loaded.items() if name.partition(".")[0] in ("edgefer", "click", "rich")}
    assert {"edgefer.cli.bundle_main", "click.core", "rich.table"} <= set(vendored)
    assert {Path(path).parts[0] for path in vendored.values()} == {"bundle.pyz"}
    assert not {"pygments", "markdown_it"} & {name.partition(".")[0] for name in loaded}


def test_every_command_has_help_and_workstation_commands_are_absent(python):
    about, _, listed = python("bundle.pyz", "--help").stdout.partition("Commands:")
    commands = [line.split()[0] for line in listed.strip().splitlines()]
    assert set(re.findall(r"^ +edgefer (\w+)", about, re.MULTILINE)) <= set(commands)
    assert {"bench", "evaluate", "export", "inspect", "predict", "report"} <= set(commands)
    assert {"data", "evaluate"} <= set(commands)
    assert not {"calibrate", "devices", "quantize", "train"} & set(commands)
    for command in commands:
        assert "Example:" in python("bundle.pyz", command, "--help").stdout


def test_subprocess_imports_the_bundle(python, artifact):
    ended = python("bundle.pyz", "bench", "--seconds", "0", "--runs", "20", "--json")
    (measurement,) = json.loads(ended.stdout)["measurements"]
    assert measurement["subject"]["sha256"] == artifact.sha256
    assert measurement["subject"]["file"] == SHIPPED.name


def test_live_page_is_served_and_the_service_starts_the_bundle(python, board):
    pytest.importorskip("uvicorn")
    assert "how a face looks" in python("-c", SERVE, "bundle.pyz").stdout
    unit = python("bundle.pyz", "service", "install", "--print").stdout
    assert f"{board / 'bundle.pyz'} live --serve :4912\n" in unit


def test_evaluate_scores_the_bundled_model(python, board, artifact):
    faces = artifact.golden.inputs
    labels = np.argmax(artifact.golden.outputs, axis=1)
    usage = np.array(["Training", "PublicTest"] * len(faces))[: len(faces)]
    np.savez(board / "faces.npz", pixels=faces, emotion=labels, usage=usage)
    record = json.loads(python("bundle.pyz", "evaluate", "--data", "faces.npz", "--json").stdout)
    assert (record["kind"], record["n"]) == ("evaluation", len(faces) // 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "run"),
        ("evaluate", "--pictures", "plots"),
        ("bench", "--device", "pi@board"),
        ("doctor", "--device", "pi@board"),
    ],
)
def test_command_that_needs_the_workstation_ends_with_one_sentence(python, board, arguments):
    (board / "run").mkdir(exist_ok=True)
    error = python("-c", NOT_EDITABLE, "bundle.pyz", *arguments, code=1).stderr
    assert re.search(r"a bundle does not contain edgefer\.(workstation|fleet|search)", error)
    assert "where edgefer is installed" in error


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [(["benhc"], 2, "bench"), (["nowhere.png"], 1, "nowhere.png"), (["face.png", "--frob"], 2, "--frob")],
)
def test_mistyped_arguments_are_named(python, arguments, code, named):
    assert named in python("bundle.pyz", *arguments, code=code).stderr


def test_bundle_without_a_model_reports_it(python):
    assert "without a model" in python("empty.pyz").stdout
    assert "contains none" in python("empty.pyz", "face.png", code=1).stderr
    assert "surprise" in python("empty.pyz", "face.png", "--no-detect", "--model", SHIPPED, "--json").stdout


# Missing packages


def test_missing_packages_are_reported_with_one_command(python):
    error = python("bundle.pyz", code=1, flag="-S").stderr.strip().splitlines()
    assert len(error) == 2
    assert "pip install" in error[1]
    for package in ('"numpy', '"opencv-python-headless'):
        assert package in error[1]


def test_missing_shared_library_is_reported_with_one_command(python, board):
    (board / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    code = OLD.replace("sys.version_info", "sys.path.insert(0, '.')\nignored")
    error = python("-c", code, "bundle.pyz", code=1).stderr
    (board / "cv2.py").unlink()
    assert error.startswith("edgefer: libGL.so.1")
    assert '"opencv-python-headless' in error
    assert '"numpy' not in error


def test_doctor_runs_without_packages(python):
    checks = json.loads(python("bundle.pyz", "doctor", "--json", code=5, flag="-S").stdout)["checks"]
    broken = {check["name"]: check["fix"] for check in checks if check["status"] == "broken"}
    assert set(broken) == {"numpy", "OpenCV"}
    assert broken["numpy"].startswith("pip install")


def test_help_needs_only_python(python):
    assert "Commands:" in python("bundle.pyz", "--help", flag="-S").stdout


def test_old_python_is_reported(python):
    error = python("-c", OLD, "bundle.pyz", code=1).stderr
    assert error.startswith("edgefer: Python 3.10 to 3.13 is required, this is 3.9.2")


def test_bundle_creates_a_report_page(python, board):
    files.write_bytes(board / SHIPPED.name, SHIPPED.read_bytes())
    python("bundle.pyz", "report", SHIPPED.name, "--html", "page.html")
    page = (board / "page.html").read_text()
    assert "prefers-color-scheme" in page
    assert f"Contract of {SHIPPED.name}" in page
