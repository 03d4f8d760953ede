from __future__ import annotations

from pathlib import Path

import fake_nvidia_smi
import pytest

from edgefer.deploy.check import installed_version
from edgefer.deploy.gpu_checks import gpu_checks


def test_a_machine_without_a_gpu_gets_one_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("edgefer.deploy.gpu_checks.NODES", ())
    (check,) = gpu_checks()
    assert (check.name, check.status, check.fix) == ("GPU", "note", "")
    assert "no NVIDIA GPU" in check.text


def test_a_driver_that_fails_is_a_note_with_its_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia_smi.install(tmp_path, monkeypatch, output="NVIDIA-SMI has failed", exit_code=9)
    (check,) = gpu_checks()
    assert (check.status, check.text) == ("note", "nvidia-smi failed: NVIDIA-SMI has failed")
    assert "driver" in check.fix


def test_equal_gpus_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["NVIDIA H200, 550.54, 143360"] * 2 + ["Tesla T4, 550.54, 15360"]
    fake_nvidia_smi.install(tmp_path, monkeypatch, output="\n".join(lines))
    check = next(gpu_checks())
    assert check.text == "2 x NVIDIA H200, 140 GiB, driver 550.54; Tesla T4, 15 GiB, driver 550.54"


@pytest.mark.parametrize(
    ("package", "name", "extra"), [("tensorflow", "TensorFlow", "cuda"), ("jax", "JAX", "jax-cuda")]
)
def test_a_framework_that_uses_no_gpu_has_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str, extra: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake_nvidia_smi.install(tmp_path, monkeypatch, output="NVIDIA H200, 550.54, 143360")
    checks = {check.name: check for check in gpu_checks()}
    assert checks["GPU"].status == "ok"
    version = installed_version(package)
    if version is None:
        assert f"{name} GPU" not in checks
        return
    check = checks[f"{name} GPU"]
    assert (check.status, check.text.startswith(f"{name} {version} uses no GPU")) == ("note", True)
    assert f"[workstation,{extra}]" in check.fix


def test_hidden_gpus_are_named_as_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if installed_version("jax") is None:
        pytest.skip("not installed")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    fake_nvidia_smi.install(tmp_path, monkeypatch, output="NVIDIA H200, 550.54, 143360")
    check = {check.name: check for check in gpu_checks()}["JAX GPU"]
    assert check.text.endswith("CUDA_VISIBLE_DEVICES=-1")
    assert check.fix == "unset CUDA_VISIBLE_DEVICES"
