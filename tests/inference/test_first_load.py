"""Unknown models are loaded and run in a subprocess first; known models start no process."""

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.inference import first_load
from edgefer.inference.classifier import Classifier
from edgefer.inference.first_load import check_first_load, trust_model
from edgefer.inference.interpreters import run_model
from edgefer.inference.runtime import select_runtime
from edgefer.models import SHIPPED, shipped
from edgefer.results.parity import Configuration

# Open models in a process that can start no child.
WITHOUT_CHILDREN = """
import sys
from edgefer.inference import first_load
from edgefer.inference.classifier import Classifier

def fail(*arguments, **options):
    raise AssertionError("a child was started")

first_load.call_module = fail
for path in sys.argv[1:]:
    Classifier.open(path)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Use an empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def unknown(int8_artifact, request):
    """Return a model that no other test has loaded: the bytes behind its flatbuffer are the name of the test."""
    return dataclasses.replace(int8_artifact, model=int8_artifact.model + request.node.nodeid.encode())


def open_without_children(*paths):
    command = [sys.executable, "-c", WITHOUT_CHILDREN, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def children(monkeypatch):
    """Record the requests to child processes; the children run."""
    requests = []
    call_module = first_load.call_module

    def record(module, request, **options):
        requests.append(request)
        return call_module(module, request, **options)

    monkeypatch.setattr(first_load, "call_module", record)
    return requests


def test_model_that_crashes_the_runtime_is_an_error_with_the_signal_and_the_file(crashing_artifact, tmp_path, cache):
    crashing_artifact.save(tmp_path / "bad.tflite")
    with pytest.raises(DataError, match=r"bad\.tflite crashes litert .*: SIG[A-Z]+ while loading it") as caught:
        Classifier.open(tmp_path / "bad.tflite")
    assert "edgefer inspect" in caught.value.hint
    assert not list(cache.rglob("*-litert-*"))
    with pytest.raises(DataError, match="crashes litert"):
        Classifier.open(tmp_path / "bad.tflite")


def test_every_way_to_run_a_model_is_protected(crashing_artifact):
    with pytest.raises(DataError, match="crashes litert"):
        Classifier.from_artifact(crashing_artifact, check=False)
    with pytest.raises(DataError, match="crashes litert"):
        run_model(crashing_artifact.model, crashing_artifact.golden.inputs, Configuration("litert"))


def test_unknown_model_starts_one_child_and_a_known_model_none(unknown, children, tmp_path):
    unknown.save(tmp_path / "model.tflite")
    assert "a child was started" in open_without_children(tmp_path / "model.tflite").stderr
    for _ in range(2):
        Classifier.open(tmp_path / "model.tflite")
        assert len(children) == 1
    assert open_without_children(tmp_path / "model.tflite").returncode == 0


def test_other_kernels_and_other_versions_are_checked_again(unknown, children, monkeypatch):
    Classifier.from_artifact(unknown)
    Classifier.from_artifact(unknown, kernels="reference")
    assert [request["kernels"] for request in children] == ["default", "reference"]
    module = select_runtime(None)
    monkeypatch.setattr(module, "available", lambda: "99.0")
    Classifier.from_artifact(unknown)
    assert len(children) == 3


def test_changed_model_is_checked_again(unknown, children):
    Classifier.from_artifact(unknown)
    Classifier.from_artifact(dataclasses.replace(unknown, model=unknown.model + b"\0"))
    assert len(children) == 2


def test_a_part_of_a_shipped_model_is_not_a_shipped_model(children):
    model = Artifact.load(SHIPPED).model
    with pytest.raises(EdgeferError):
        check_first_load(model[:100_000], select_runtime(None))
    assert len(children) == 1
    check_first_load(model, select_runtime(None))
    assert len(children) == 1


def test_shipped_models_start_no_child():
    done = open_without_children(*shipped().values())
    assert done.returncode == 0, done.stderr


def test_trusted_model_starts_no_child(unknown, children):
    trust_model(unknown.model)
    Classifier.from_artifact(unknown)
    assert children == []


def test_threads_that_open_a_model_at_once_start_one_child(unknown, children):
    predictions = []

    def predict():
        classifier = Classifier.from_artifact(unknown)
        predictions.append(classifier.predict(unknown.golden.inputs[0]).label)

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(predictions) == 4
    assert len(set(predictions)) == 1
    assert len(children) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_cache_folder_that_cannot_be_written_is_not_an_error(unknown, cache):
    cache.mkdir()
    cache.chmod(0o500)
    assert Classifier.from_artifact(unknown)


def test_file_in_place_of_the_cache_folder_is_not_an_error(unknown, cache):
    cache.write_text("not a folder")
    assert Classifier.from_artifact(unknown)


def test_model_that_the_runtime_rejects_has_the_message_of_the_runtime(int8_artifact, with_op_version):
    other = dataclasses.replace(int8_artifact, model=with_op_version(int8_artifact.model, 99))
    with pytest.raises(IncompatibleError, match="cannot load the model: .*99"):
        Classifier.from_artifact(other)


def test_model_that_needs_too_much_memory_is_an_error(litert, tiny_content):
    from edgefer.inspection.flatbuffer import load_schema

    content = bytearray(tiny_content["int8"])
    graph = load_schema().Model.GetRootAs(content, 0).Subgraphs(0)
    # The array is a view of the bytes.
    graph.Tensors(graph.Inputs(0)).ShapeAsNumpy()[1:3] = 20_000
    with pytest.raises(DataError, match="needs too much memory: loading it needs more than 640 MiB"):
        check_first_load(bytes(content), select_runtime("litert"), kernels="builtin")


def test_golden_vectors_of_another_shape_are_not_run(unknown):
    check_first_load(unknown.model, select_runtime(None), inputs=np.zeros((2, 5, 5), np.uint8))


def test_marker_files_are_empty_and_have_the_hash_of_the_model(unknown, cache):
    Classifier.from_artifact(unknown)
    (marker,) = [path for path in Path(cache).rglob("*") if path.is_file()]
    assert marker.name.startswith(f"{unknown.sha256}-")
    assert marker.read_bytes() == b""
