from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer.signals import signals_as_exceptions

CODE = """
import sys, tempfile, time
from edgefer.signals import Terminated, signals_as_exceptions
try:
    with signals_as_exceptions(), tempfile.TemporaryDirectory(dir=sys.argv[1]):
        print("ready", flush=True)
        time.sleep(60)
except Terminated as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_runs_the_cleanup(tmp_path: Path, number: int, exit_code: int) -> None:
    with subprocess.Popen([sys.executable, "-c", CODE, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert list(tmp_path.iterdir())
        process.send_signal(number)
        assert process.wait(30) == exit_code
    assert not list(tmp_path.iterdir())


def test_an_ignored_signal_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_as_exceptions():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_handlers_of_a_program_that_uses_edgefer_are_kept() -> None:
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with signals_as_exceptions():
            os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, previous)
