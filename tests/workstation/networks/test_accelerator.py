from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import fake_nvidia_smi
import pytest

from edgefer.workstation.networks.accelerator import describe_accelerator, unused_gpus
from edgefer.workstation.networks.backend import load_keras


def test_this_machine_trains_on_its_processor() -> None:
    assert describe_accelerator(load_keras()) == "CPU"


@pytest.mark.parametrize(("count", "described"), [(2, "2 x NVIDIA T4"), (0, "CPU")])
def test_the_gpus_of_torch_are_counted(count: int, described: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # PyTorch is not installed with the tests.
    cuda = SimpleNamespace(device_count=lambda: count, get_device_name=lambda index: "NVIDIA T4")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "torch"))
    assert describe_accelerator(keras) == described


def test_a_gpu_that_keras_does_not_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake_nvidia_smi.install(tmp_path, monkeypatch, output="NVIDIA H200, 1, 2\nNVIDIA H200, 1, 2")
    assert unused_gpus(load_keras()) == "2 x NVIDIA H200"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert unused_gpus(load_keras()) == ""


def test_without_a_gpu_none_is_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert unused_gpus(load_keras()) == ""
    fake_nvidia_smi.install(tmp_path, monkeypatch, exit_code=9)
    assert unused_gpus(load_keras()) == ""
