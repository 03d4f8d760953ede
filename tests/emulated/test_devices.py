"""Connections to the board, probes, setup, and their failures."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest

from edgefer.cli.main import run
from edgefer.errors import DataError, DeviceUnreachable, IncompatibleError
from edgefer.fleet.connections.ssh import connect
from edgefer.fleet.probe import probe
from edgefer.fleet.registry import Device, Registry
from edgefer.fleet.upload import clean, upload

PLAIN = Device("shelf", "board")


def test_a_probe_reports_the_hardware_and_the_runtimes(board, device) -> None:
    with contextlib.closing(connect(PLAIN)) as connection:
        facts = probe(connection, [device("litert").python, device("tflite_runtime").python])
    assert "Raspberry Pi 4" in str(facts.board)
    assert (facts.machine, facts.cores, facts.dot_product) == ("aarch64", 4, False)
    assert facts.runtimes == {"litert": "2.3.0", "tflite_runtime": "2.14.0"}
    assert facts.interpreters[-1].problem_with("litert") == "no numpy, opencv, litert"


def test_a_board_without_a_runtime_gets_the_command_that_installs_it(board) -> None:
    with contextlib.closing(connect(PLAIN)) as connection:
        facts = probe(connection)
    with pytest.raises(IncompatibleError) as caught:
        facts.select_runtime(None, device="shelf")
    assert caught.value.hint == "edgefer devices setup shelf --runtime litert"


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_setup_offline_then_bench_then_clean(board, runtime, capsys, tmp_path) -> None:
    wheels = Path(board.facts["rootfs"], "opt/wheels", "litert" if runtime == "litert" else "tflite")
    how = ["--offline"] if runtime == "litert" else ["--wheels", str(wheels)]
    assert run(["devices", "add", "shelf", "board", "--threads", "1,2", "--limit", "rss_mib=5000"]) == 0
    assert run(["devices", "setup", "shelf", "--runtime", runtime, *how]) == 0
    device = Registry.read().devices["shelf"]
    assert (device.threads, device.limits.rss_mib) == ((1, 2), 5000.0)
    assert runtime in device.facts["runtimes"]
    selection = ["bench", "nano", "--device", "shelf", "--runtime", runtime]
    assert run([*selection, "--runs", "2", "--seconds", "0", "--output-dir", str(tmp_path)]) == 0
    assert (tmp_path / "shelf.bench.json").is_file()
    assert run(["devices", "clean", "shelf", "--all"]) == 0
    left = Path(board.facts["rootfs"], "home/pi")
    assert [path.name for path in (left / ".cache/edgefer/pushed").iterdir()] == ["bench.lock"]
    assert not (left / ".local/share/edgefer").exists()


def fails_with(kind: type[Exception], board_device: Device = PLAIN) -> str:
    with contextlib.closing(connect(board_device)) as connection, pytest.raises(kind) as caught:
        probe(connection)
    return str(caught.value)


def test_a_changed_host_key_is_refused(board, monkeypatch, tmp_path) -> None:
    config = board.config(tmp_path, UserKnownHostsFile=board.facts["wrong_known_hosts"])
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", config)
    message = fails_with(DeviceUnreachable)
    assert "host key" in message
    assert "ssh-keygen -R" in message


def test_an_unknown_host_key_is_refused(board, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", board.config(tmp_path, UserKnownHostsFile="/dev/null"))
    assert "host key" in fails_with(DeviceUnreachable)


def test_a_refused_login_has_the_command_that_copies_the_key(board, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", board.config(tmp_path, IdentityFile=board.facts["wrong_key"]))
    message = fails_with(DeviceUnreachable)
    assert "refused the login" in message
    assert "ssh-copy-id" in message


def test_a_board_without_python_gets_the_command_that_installs_it(board) -> None:
    message = fails_with(IncompatibleError, Device("shelf", "bare@board"))
    assert "has no python3" in message
    assert "sudo apt install python3" in message


def test_an_old_python_is_reported_with_its_version(board, tmp_path) -> None:
    old = "/home/pi/python-3.6"
    script = '#!/bin/sh\nexec python3 -c "import sys; sys.version_info = (3, 6, 9); exec(sys.argv[1])" "$2" "$3"\n'
    place = Path(board.facts["rootfs"], old.lstrip("/"))
    place.write_text(script)
    place.chmod(0o755)
    assert "Python 3.6.9" in fails_with(IncompatibleError, Device("shelf", "board", python=old))


def small_disk(connection) -> None:
    """Move the cache to the board's disk of half a MiB."""
    plain = connection.run

    def run(arguments, **options):
        return plain(["env", "XDG_CACHE_HOME=/mnt/small", *arguments], **options)

    connection.run = run


def test_a_full_disk_is_reported(board) -> None:
    with contextlib.closing(connect(PLAIN)) as connection:
        small_disk(connection)
        with pytest.raises(DataError, match="disk of shelf is full") as caught:
            upload(connection, bytes(3_000_000), "model.tflite")
        assert "edgefer devices clean shelf" in caught.value.hint
        assert clean(connection)["freed_bytes"] == 0


def test_a_connection_that_breaks_during_an_upload_leaves_no_incomplete_file(board) -> None:
    folder = Path(board.facts["rootfs"], "home/pi/.cache/edgefer/pushed")
    content = bytes(80_000_000)
    with contextlib.closing(connect(PLAIN)) as connection:
        probe(connection)

        def drop() -> None:
            end = time.monotonic() + 30
            while time.monotonic() < end and not list(folder.glob("*/big.bin*.part")):
                time.sleep(0.01)
            board.do("drop")

        thread = threading.Thread(target=drop)
        thread.start()
        with pytest.raises(DeviceUnreachable):
            upload(connection, content, "big.bin")
        thread.join()
    time.sleep(1)
    assert not list(folder.glob("*/big.bin"))
    with contextlib.closing(connect(PLAIN)) as connection:
        path = upload(connection, content, "big.bin")
        assert Path(board.facts["rootfs"], path.lstrip("/")).stat().st_size == len(content)
        clean(connection)


def test_doctor_checks_the_board(board, device, capsys) -> None:
    Registry.read().with_device(device("litert")).save()
    assert run(["doctor", "--device", "shelf"]) == 0
    assert "Raspberry Pi 4" in capsys.readouterr().out
    assert run(["doctor", "--device", "board@nowhere.invalid"]) == 4
