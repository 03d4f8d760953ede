"""The unit: what systemd makes of it, and where a token stands."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer.errors import EdgeferError, IncompatibleError, UsageError
from edgefer.live import systemd_service
from edgefer.live.systemd_service import make_plan

ANALYZE = shutil.which("systemd-analyze")
TOKEN = 'quite "long" $HOME `x` \\ 100 % é'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, that of somebody whom systemd does not know."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    for name in ("XDG_CONFIG_HOME", "EDGEFER_TOKEN", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def line(unit: str, key: str) -> str:
    (found,) = [each for each in unit.splitlines() if each.startswith(f"{key}=")]
    return found.removeprefix(f"{key}=")


def test_it_runs_edgefer_live_in_this_folder_with_a_page_for_this_machine(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(["--camera", "0"], serve=None, token=None)
    assert line(plan.unit, "ExecStart") == f":{sys.executable} -m edgefer live --serve :4912 --camera 0"
    assert line(plan.unit, "WorkingDirectory") == str(tmp_path)
    assert line(plan.unit, "Type") == "notify"
    assert line(plan.unit, "Restart") == "on-failure"
    assert "EnvironmentFile" not in plan.unit
    assert (plan.token, plan.url) == (None, "http://127.0.0.1:4912/")
    assert plan.unit_path == home / ".config" / "systemd" / "user" / "edgefer-live.service"


@pytest.mark.parametrize("given", [["--token", TOKEN], [f"--token={TOKEN}"]])
def test_a_token_stands_in_no_command_line(given: list[str]) -> None:
    plan = make_plan(["--serve", "0.0.0.0:4912", *given, "--camera", "0"], serve="0.0.0.0:4912", token=TOKEN)
    assert line(plan.unit, "ExecStart").endswith(" -m edgefer live --serve 0.0.0.0:4912 --camera 0")
    assert not [word for word in ("--token", "quite", "long", "100 %") if word in plan.unit]
    assert line(plan.unit, "EnvironmentFile") == str(plan.token_path)


def test_where_others_reach_it_a_token_is_made_up_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    serve = "0.0.0.0:4912"
    first = make_plan(["--serve", serve], serve=serve, token=None)
    assert first.token
    assert len(first.token) >= 32
    assert first.url.endswith(f":4912/?token={first.token}")
    assert first.token != make_plan(["--serve", serve], serve=serve, token=None).token
    with pytest.raises(EdgeferError):
        systemd_service.install(first)
    assert make_plan(["--serve", serve], serve=serve, token=None).token == first.token
    monkeypatch.setenv("EDGEFER_TOKEN", "from the environment")
    assert make_plan(["--serve", serve], serve=serve, token=None).token == "from the environment"
    assert make_plan(["--serve", serve], serve=serve, token="as typed, rather").token == "as typed, rather"


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="there is no systemctl")
def test_a_token_is_read_by_nobody_else_and_comes_back_as_it_was() -> None:
    plan = make_plan([], serve="0.0.0.0:4912", token=TOKEN)
    with pytest.raises(EdgeferError):
        systemd_service.install(plan)
    assert stat.S_IMODE(plan.token_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(plan.unit_path.stat().st_mode) & 0o044
    # Without a host there is nothing to keep.
    assert make_plan([], serve="0.0.0.0:4912", token=None).token == TOKEN
    with pytest.raises(EdgeferError):
        systemd_service.install(make_plan([], serve=None, token=None))
    assert not plan.token_path.exists()


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="there is no systemctl")
def test_where_systemd_does_not_answer_what_was_written_stays_and_the_way_on_is_said() -> None:
    plan = make_plan([], serve=None, token=None)
    with pytest.raises(EdgeferError, match="systemctl --user daemon-reload ended with 1") as caught:
        systemd_service.install(plan)
    assert "systemctl --user enable --now edgefer-live.service" in caught.value.hint
    assert plan.unit_path.read_text() == plan.unit


def test_without_systemctl_nothing_is_written(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", str(home))
    for act in (lambda: systemd_service.install(make_plan([], serve=None, token="0123456789ab")), systemd_service.state):
        with pytest.raises(IncompatibleError, match="there is no systemctl") as caught:
            act()
        assert "edgefer live --serve :4912" in caught.value.hint
    assert os.listdir(home) == []


def test_nothing_to_uninstall_is_said() -> None:
    with pytest.raises(UsageError, match="no service to uninstall") as caught:
        systemd_service.uninstall()
    assert caught.value.hint == "edgefer service install"


@pytest.mark.parametrize("serve", [":0", "0.0.0.0:0", "nonsense"])
def test_an_address_that_nobody_would_find_is_refused(serve: str) -> None:
    with pytest.raises(UsageError, match="--serve :4912|port"):
        make_plan(["--serve", serve], serve=serve, token=None)


@pytest.mark.parametrize("name", ["two\nlines", "after ", "back\\"])
def test_a_folder_that_a_unit_cannot_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(UsageError, match="the folder"):
        make_plan([], serve=None, token=None)


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--video", "my film.mp4"],
        ["--video", 'a "b" %h $HOME \\n é ; ; $$ %%.mp4'],
        ["--video", ";", "--model", "tab\tand\nline", "--stream", ""],
    ],
)
def test_systemd_finds_nothing_wrong_with_it(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a folder, 100 % $HOME"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # A Python whose path wants quoting too.
    python = folder / "py thon"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    plan = make_plan(arguments, serve="0.0.0.0:4912", token="0123456789ab")
    unit = tmp_path / "edgefer-live.service"
    unit.write_text(plan.unit)
    done = subprocess.run(
        [str(ANALYZE), "verify", "--user", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
