from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.errors import IncompatibleError, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.interpreters import installed_runtimes, run_model
from edgefer.results.parity import Configuration

# Another interpreter runs in a subprocess; this interpreter serves as one.
ANOTHER = sys.executable


@pytest.fixture(scope="module")
def best() -> str:
    """Return the preferred runtime of this process."""
    return next(iter(installed_runtimes().runtimes))


@pytest.mark.parametrize("python", ["", ANOTHER])
@pytest.mark.parametrize("kernels", ["default", "reference"])
def test_outputs_equal_those_of_a_classifier(
    best: str, python: str, kernels: str, artifact: Artifact, faces: np.ndarray
) -> None:
    outputs = run_model(artifact.model, faces[:8], Configuration(best, kernels, 1, python))
    expected = Classifier.from_artifact(artifact, runtime=best, kernels=kernels).raw(faces[:8])
    assert outputs.dtype == expected.dtype
    assert np.array_equal(outputs, expected)


def test_another_interpreter_reports_its_runtimes() -> None:
    assert installed_runtimes(ANOTHER) == installed_runtimes()
    assert f"numpy {np.__version__}" in installed_runtimes().about


@pytest.mark.parametrize("python", ["", ANOTHER])
def test_errors_of_an_interpreter_keep_their_kind(
    best: str, python: str, int8_artifact: Artifact, faces: np.ndarray
) -> None:
    with pytest.raises(UsageError, match="no kernels 'fast'"):
        run_model(int8_artifact.model, faces, Configuration(best, "fast", 1, python))
    with pytest.raises(IncompatibleError, match="TFL3"):
        run_model(b"not a model", faces, Configuration(best, python=python))
    with pytest.raises(IncompatibleError, match=r"input of shape \(1, 48, 48, 1\)"):
        run_model(int8_artifact.model, faces[:, :40], Configuration(best, python=python))


def test_a_path_without_an_interpreter_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Python at") as caught:
        installed_runtimes(str(tmp_path / "python"))
    assert "--python" in caught.value.hint


def script(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_without_numpy_is_rejected_with_the_pip_command(tmp_path: Path) -> None:
    python = script(tmp_path, "echo \"ModuleNotFoundError: No module named 'numpy'\" >&2; exit 1")
    with pytest.raises(IncompatibleError, match="cannot run edgefer: .*numpy") as caught:
        installed_runtimes(python)
    assert f"{python} -m pip install numpy" in caught.value.hint


def test_a_crash_is_reported_with_its_signal(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=f"SIG{signal.Signals.SIGSEGV.name[3:]}"):
        installed_runtimes(script(tmp_path, "kill -SEGV $$"))


def test_an_interpreter_does_not_import_packages_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('wrong numpy')")
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    assert installed_runtimes(ANOTHER).runtimes == installed_runtimes().runtimes
