from __future__ import annotations

from pathlib import Path

import fake_nvidia_smi
import pytest

from edgefer.device.nvidia import Gpu, nvidia_gpus
from edgefer.errors import IncompatibleError


@pytest.mark.parametrize(
    ("output", "gpus"),
    [
        ("NVIDIA H200, 550.54.15, 143771", (Gpu("NVIDIA H200", "550.54.15", 143771 * 2**20),)),
        ("A, 1.2, 10\nB, 1.2, 20", (Gpu("A", "1.2", 10 * 2**20), Gpu("B", "1.2", 20 * 2**20))),
        # The name may contain a comma; a GPU that shares the memory of the processor reports none.
        ("Thor, integrated, 580.00, [N/A]", (Gpu("Thor, integrated", "580.00", None),)),
        ("No devices were found", ()),
    ],
)
def test_each_line_is_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, gpus: tuple[Gpu, ...]
) -> None:
    fake_nvidia_smi.install(tmp_path, monkeypatch, output=output)
    assert nvidia_gpus() == gpus


def test_without_nvidia_smi_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_gpus() == ()


def test_the_error_quotes_what_nvidia_smi_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "Failed to initialize NVML: Driver/library version mismatch"
    fake_nvidia_smi.install(tmp_path, monkeypatch, output=message, exit_code=18)
    with pytest.raises(IncompatibleError, match="nvidia-smi failed") as failure:
        nvidia_gpus()
    assert failure.value.why == message
    assert "restart" in failure.value.hint


def test_a_program_that_cannot_run_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/no/such/shell\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IncompatibleError, match="nvidia-smi failed"):
        nvidia_gpus()
