from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.benchmark.isolation import (
    benchmark_lock,
    cache_folder,
    evaluate_in_subprocess,
    measure_in_subprocess,
)
from edgefer.errors import DataError, DeviceUnreachable, EdgeferError, IncompatibleError, MeasurementInvalid
from edgefer.inference.evaluation import EvaluationRequest, count_faces
from edgefer.results.measurement import BenchRequest

BOARD_DATA = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def request_for_tiny(tmp_path_factory: pytest.TempPathFactory) -> BenchRequest:
    # Any golden vectors will do, as long as the model reproduces them.
    from edgefer.contract.artifact import Artifact, Golden
    from edgefer.contract.labels import LABELS
    from edgefer.contract.preprocessing import InputSpec
    from edgefer.inference.classifier import Classifier

    inputs = np.random.default_rng(0).integers(0, 256, (4, 48, 48), np.uint8)
    model = (BOARD_DATA / "tiny-int8.tflite").read_bytes()
    zeros = np.zeros((4, 7), np.int8)
    artifact = Artifact(model, LABELS, InputSpec(), "int8", Golden(inputs, zeros, zeros, 2.0), {})
    outputs = Classifier.from_artifact(artifact, check=False).raw(inputs)
    path = tmp_path_factory.mktemp("models") / "tiny-int8.tflite"
    replace(artifact, golden=Golden(inputs, outputs, outputs, 2.0)).save(path)
    return BenchRequest(str(path), minimum_runs=60, minimum_seconds=0.0, warmup_runs=5, warmup_seconds=0.0)


def run_in_child(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the child execute ``code`` when it imports OpenCV, which it finds in a folder of $PYTHONPATH first."""
    (folder / "cv2.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_measurement_runs_in_another_process(request_for_tiny: BenchRequest) -> None:
    measurement = measure_in_subprocess(replace(request_for_tiny, samples=True))
    assert measurement.invoke.runs == 60
    assert measurement.samples is not None
    assert measurement.subject["file"] == "tiny-int8.tflite"


def test_child_uses_the_requested_threads(request_for_tiny: BenchRequest) -> None:
    assert measure_in_subprocess(replace(request_for_tiny, threads=2)).threads == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_memory_is_that_of_the_child(request_for_tiny: BenchRequest) -> None:
    ballast = np.ones(400 * 1024 * 1024, np.uint8)
    peak = measure_in_subprocess(request_for_tiny).peak_rss_bytes
    assert peak is not None
    assert 10 * 1024 * 1024 < peak < ballast.nbytes


def test_child_does_not_import_modules_from_the_working_folder(
    tmp_path: Path, request_for_tiny: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('this is not the standard json module')")
    (tmp_path / "edgefer").mkdir()
    (tmp_path / "edgefer" / "__init__.py").touch()
    shutil.copy(request_for_tiny.model, tmp_path / "here.tflite")
    np.savez(tmp_path / "faces.npz", faces=np.zeros((2, 48, 48), np.uint8))
    monkeypatch.chdir(tmp_path)
    measurement = measure_in_subprocess(replace(request_for_tiny, model="here.tflite", faces="faces.npz"))
    assert measurement.subject["file"] == "here.tflite"


def test_errors_of_the_child_are_raised_in_the_parent(tmp_path: Path, request_for_tiny: BenchRequest) -> None:
    with pytest.raises(DataError, match="nowhere.tflite") as caught:
        measure_in_subprocess(BenchRequest(str(tmp_path / "nowhere.tflite")))
    assert caught.value.hint
    (tmp_path / "bare.tflite").write_bytes((BOARD_DATA / "tiny-int8.tflite").read_bytes())
    with pytest.raises(DataError, match="no contract"):
        measure_in_subprocess(BenchRequest(str(tmp_path / "bare.tflite")))


def test_exit_code_of_the_error_is_kept(tmp_path: Path, request_for_tiny: BenchRequest) -> None:
    from edgefer.contract.artifact import Artifact, Golden

    artifact = Artifact.load(Path(request_for_tiny.model))
    outputs = 127 - artifact.golden.outputs.astype(np.int16)
    far_off = Golden(artifact.golden.inputs, outputs, outputs, 2.0)
    replace(artifact, golden=far_off).save(tmp_path / "wrong.tflite")
    with pytest.raises(IncompatibleError, match="differs by") as caught:
        measure_in_subprocess(replace(request_for_tiny, model=str(tmp_path / "wrong.tflite")))
    assert caught.value.exit_code == 5


def test_a_measurement_that_exceeds_its_time_limit_is_ended(request_for_tiny: BenchRequest) -> None:
    with pytest.raises(MeasurementInvalid, match="ended at its time limit"):
        measure_in_subprocess(replace(request_for_tiny, minimum_seconds=60.0), timeout_s=0.5)


def test_an_evaluation_that_exceeds_its_time_limit_is_ended(
    tmp_path: Path, request_for_tiny: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in_child("import time; time.sleep(60)", tmp_path, monkeypatch)
    request = EvaluationRequest(request_for_tiny.model, str(tmp_path / "faces.npz"))
    with pytest.raises(MeasurementInvalid, match="ended at its time limit") as caught:
        evaluate_in_subprocess(request, timeout_s=0.5)
    assert "--accuracy" in caught.value.hint


def test_the_faces_of_an_evaluation_are_counted_before_it_runs(tmp_path: Path) -> None:
    np.savez(tmp_path / "faces.npz", faces=np.zeros((30, 2, 2), np.uint8), labels=np.zeros(30, np.int64))
    assert count_faces(EvaluationRequest("a.tflite", str(tmp_path / "faces.npz"))) == 30
    assert count_faces(EvaluationRequest("a.tflite", str(tmp_path / "faces.npz"), most=7)) == 7
    assert count_faces(EvaluationRequest("a.tflite", str(tmp_path / "missing.npz"))) == 0


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("raise MemoryError", "add swap space"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "add swap space"),
        ("raise RuntimeError('broken')", "edgefer doctor"),
    ],
)
def test_the_fix_of_a_failed_measurement_follows_from_its_cause(
    tmp_path: Path, request_for_tiny: BenchRequest, monkeypatch: pytest.MonkeyPatch, code: str, hint: str
) -> None:
    run_in_child(code, tmp_path, monkeypatch)
    with pytest.raises(EdgeferError) as caught:
        measure_in_subprocess(request_for_tiny)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL"])
def test_a_crash_reports_the_signal(
    name: str, tmp_path: Path, request_for_tiny: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in_child(f"import os, signal; os.kill(os.getpid(), signal.{name})", tmp_path, monkeypatch)
    with pytest.raises(EdgeferError, match=f"ended by {name}"):
        measure_in_subprocess(request_for_tiny)


def test_a_traceback_is_reduced_to_its_last_line(
    tmp_path: Path, request_for_tiny: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in_child("raise SystemExit('no memory card' + 9000 * '!')", tmp_path, monkeypatch)
    with pytest.raises(EdgeferError, match="code 1: .*no memory card") as caught:
        measure_in_subprocess(request_for_tiny)
    assert len(str(caught.value)) < 1000


def test_keyboard_interrupt_ends_the_child(
    tmp_path: Path, request_for_tiny: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The child ignores SIGINT, records its process ID, and interrupts only its parent.
    code = (
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        "time.sleep(60)\n"
    )
    run_in_child(code, tmp_path, monkeypatch)
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        measure_in_subprocess(request_for_tiny)
    assert time.monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIG_DFL)


HOLDER = """
import sys
from pathlib import Path
from edgefer.benchmark.isolation import benchmark_lock
with benchmark_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_refuses_a_second_benchmark_and_names_the_process_of_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DeviceUnreachable, match="another bench") as caught, benchmark_lock(tmp_path):
            pass
        assert str(holder.pid) in caught.value.why
        holder.kill()
    with benchmark_lock(tmp_path):
        assert (tmp_path / "bench.lock").read_text() == str(os.getpid())


def test_a_file_system_without_locks_is_not_another_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_locks(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with benchmark_lock(tmp_path):
        assert (tmp_path / "bench.lock").read_text() == str(os.getpid())


def test_cache_folder_follows_the_xdg_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "edgefer" / "pushed"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "edgefer" / "pushed"
