from __future__ import annotations

import sys
import threading

import pytest

from edgefer.errors import DataError, DeviceUnreachable
from edgefer.fleet import local_process
from edgefer.fleet.local_process import run_process, start_process


def test_a_stop_event_kills_the_command(tmp_path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(DeviceUnreachable, match="interrupted"):
        run_process(["sleep", "300"], name="shelf", stop=stop)


def test_endless_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_process, "MAX_OUTPUT_BYTES", 10**6)
    with pytest.raises(DataError, match="too long"):
        run_process([sys.executable, "-c", "while True: print('x' * 1000)"], name="shelf")
    with start_process([sys.executable, "-c", "while True: print('x' * 1000, end='')"]) as stream:
        with pytest.raises(DataError, match="too long"):
            list(stream.lines())
        stream.kill()


def test_a_large_input_to_a_command_that_does_not_read_it_is_not_an_error() -> None:
    assert run_process(["true"], name="shelf", stdin=bytes(10**6), timeout_s=30).exit_code == 0
