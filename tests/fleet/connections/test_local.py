from __future__ import annotations

import pytest

from edgefer.errors import DeviceUnreachable, IncompatibleError
from edgefer.fleet.connections.local import connect
from edgefer.fleet.registry import Device

HERE = Device("local", kind="local")


def test_commands_run_here() -> None:
    connection = connect(HERE)
    said = connection.run([connection.python, "-c", "import sys; print(sys.stdin.read()); sys.exit(7)"], stdin=b"in")
    assert (said.exit_code, said.stdout) == (7, b"in\n")
    assert connection.run(["sh", "-c", "kill -KILL $$"]).exit_code == 137


def test_a_command_that_hangs_is_given_up() -> None:
    with pytest.raises(DeviceUnreachable, match="did not answer"):
        connect(HERE).run(["sleep", "60"], timeout_s=0.2)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(IncompatibleError, match="no such-program"):
        connect(HERE).run(["such-program"])


def test_a_stream_ends_with_its_block() -> None:
    with connect(HERE).stream(["cat"]) as stream:
        stream.stdin.write(b"line\n")
        stream.stdin.flush()
        assert stream.stdout.readline() == b"line\n"
    assert stream.wait() == 0
