import os

import pytest

from edgefer.quiet import quiet


def test_native_chatter_is_dropped(capfd):
    with quiet():
        os.write(2, b"INFO: created a delegate\n")
        print("saved artifact")
    assert capfd.readouterr() == ("", "")


def test_chatter_before_a_failure_is_shown(capfd):
    with pytest.raises(RuntimeError), quiet():
        os.write(2, b"the reason\n")
        raise RuntimeError
    assert "the reason" in capfd.readouterr().err


def test_stderr_is_back_afterwards(capfd):
    with quiet():
        pass
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
