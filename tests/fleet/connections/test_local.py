from __future__ import annotations

import pytest

from edgefer.errors import DeviceUnreachable, IncompatibleError
from edgefer.fleet.connections.local import connect
from edgefer.fleet.registry import Device

HERE = Device("local", kind="local")


def test_commands_run_on_this_machine() -> None:
    connection = connect(HERE)
    output = connection.run([connection.python, "-c", "import sys; print(sys.stdin.read()); sys.exit(7)"], stdin=b"in")
    assert (output.exit_code, output.stdout) == (7, b"in\n")
    assert connection.run(["sh", "-c", "kill -KILL $$"]).exit_code == 137


def test_hanging_command_times_out() -> None:
    with pytest.raises(DeviceUnreachable, match="did not answer"):
        connect(HERE).run(["sleep", "60"], timeout_s=0.2)


def test_missing_program_is_an_error() -> None:
    with pytest.raises(IncompatibleError, match="local has no such-program"):
        connect(HERE).run(["such-program"])


def test_stream_ends_with_its_block() -> None:
    with connect(HERE).stream(["cat"]) as stream:
        stream.stdin.write(b"line\n")
        stream.stdin.flush()
        assert stream.stdout.readline() == b"line\n"
    assert stream.wait() == 0
