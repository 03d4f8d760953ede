import pytest

from edgefer.deploy import environment
from edgefer.deploy.check import Check


def test_this_machine_passes_and_the_text_fits_a_terminal(edgefer):
    outcome = edgefer("doctor")
    assert outcome.code == 0, outcome.err
    assert "ok    numpy" in outcome.out
    assert max(len(line) for line in outcome.out.splitlines() if "try: " not in line) <= 80
    record = edgefer("doctor", "--json").record
    assert record["kind"] == "doctor"
    assert {"Python", "OpenCV", "camera", "GPU"} <= {check["name"] for check in record["checks"]}


def test_a_failed_check_ends_with_exit_code_5_and_the_command_that_fixes_it(edgefer, monkeypatch):
    broken = Check("OpenCV", "broken", "not installed", "pip install opencv-python-headless")
    monkeypatch.setattr(environment, "check_environment", lambda: iter([Check("Python", "ok", "3.11.2"), broken]))
    outcome = edgefer("doctor")
    assert outcome.code == 5
    assert "WRONG OpenCV" in outcome.out
    assert "try: pip install opencv-python-headless" in outcome.err


def test_an_empty_device_is_not_this_machine(edgefer):
    refused = edgefer("doctor", "--device", "")
    assert (refused.code, "the value is empty" in refused.err) == (2, True)


@pytest.mark.parametrize("address", ["pi@127.0.0.1:9"])
def test_an_unreachable_board_is_exit_code_4(refused, monkeypatch, address):
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", "/dev/null")
    assert "SSH server" in refused("doctor", "--device", address, code=4)
