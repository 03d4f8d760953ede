"""The unit file as systemd reads it, and the storage of the token."""

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
    """Return an empty home folder of a user without a systemd user manager."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    for name in ("XDG_CONFIG_HOME", "EDGEFER_TOKEN", "EDGEFER_STREAM", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def setting(unit: str, key: str) -> str:
    (line,) = [line for line in unit.splitlines() if line.startswith(f"{key}=")]
    return line.removeprefix(f"{key}=")


def test_the_unit_runs_edgefer_live_in_the_current_folder_with_a_private_page(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(["--camera", "0"], serve=None, token=None)
    assert setting(plan.unit, "ExecStart") == f":{sys.executable} -m edgefer live --serve :4912 --camera 0"
    assert setting(plan.unit, "WorkingDirectory") == str(tmp_path)
    assert setting(plan.unit, "Type") == "notify"
    assert setting(plan.unit, "Restart") == "on-failure"
    assert setting(plan.unit, "EnvironmentFile") == str(home / ".config" / "edgefer" / "live.env")
    assert plan.url == f"http://127.0.0.1:4912/?token={plan.token}"
    assert plan.unit_path == home / ".config" / "systemd" / "user" / "edgefer-live.service"


@pytest.mark.parametrize("token_arguments", [["--token", TOKEN], [f"--token={TOKEN}"]])
def test_the_command_line_does_not_contain_the_token(token_arguments: list[str]) -> None:
    arguments = ["--serve", "0.0.0.0:4912", *token_arguments, "--camera", "0"]
    plan = make_plan(arguments, serve="0.0.0.0:4912", token=TOKEN)
    assert setting(plan.unit, "ExecStart").endswith(" -m edgefer live --serve 0.0.0.0:4912 --camera 0")
    assert not [word for word in ("--token", "quite", "long", "100 %") if word in plan.unit]
    assert setting(plan.unit, "EnvironmentFile") == str(plan.secrets_path)


@pytest.mark.parametrize(
    "url", ["rtsp://me:s3cret@cam/x", "http://cam/v?channel=1&password=s3cret", "rtsp://cam/user=me&password=s3cret"]
)
@pytest.mark.parametrize("joined", [False, True])
def test_the_unit_does_not_contain_the_password_of_a_stream(url: str, joined: bool) -> None:
    arguments = [f"--stream={url}"] if joined else ["--stream", url]
    plan = make_plan([*arguments, "--detect-every", "3"], serve=None, token=TOKEN, stream=url)
    assert "s3cret" not in plan.unit
    assert "s3cret" not in repr(plan)
    assert setting(plan.unit, "ExecStart").endswith(" live --serve :4912 --detect-every 3")
    assert plan.stream == url


def test_a_stream_without_a_password_stays_in_the_unit() -> None:
    plan = make_plan(["--stream", "rtsp://cam/x"], serve=None, token=TOKEN, stream="rtsp://cam/x")
    assert setting(plan.unit, "ExecStart").endswith(" --stream rtsp://cam/x")
    assert plan.stream is None


def test_a_stream_from_the_environment_is_stored() -> None:
    plan = make_plan([], serve=None, token=TOKEN, stream="rtsp://cam/x")
    assert "rtsp" not in plan.unit
    assert plan.stream == "rtsp://cam/x"


@pytest.mark.parametrize("serve", [":4912", "0.0.0.0:4912"])
def test_a_page_gets_a_token_that_later_plans_reuse(serve: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert make_plan(["--serve", serve], serve=serve, token="from the command line").token == "from the command line"


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="there is no systemctl")
def test_only_the_owner_can_read_the_token_and_it_survives_the_round_trip() -> None:
    plan = make_plan([], serve="0.0.0.0:4912", token=TOKEN)
    with pytest.raises(EdgeferError):
        systemd_service.install(plan)
    assert stat.S_IMODE(plan.secrets_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(plan.unit_path.stat().st_mode) & 0o044
    assert make_plan([], serve="0.0.0.0:4912", token=None).token == TOKEN
    stream = 'rtsp://me:"$x`\\ é@cam/x'
    with pytest.raises(EdgeferError):
        systemd_service.install(make_plan(["--stream", stream], serve=None, token=None, stream=stream))
    assert len(plan.secrets_path.read_text().splitlines()) == 2
    assert make_plan([], serve=None, token=None).token == TOKEN
    with pytest.raises(EdgeferError):
        systemd_service.install(make_plan([], serve=None, token=None))
    assert "rtsp" not in plan.secrets_path.read_text()


@pytest.mark.parametrize("name", ["token", "stream"])
def test_a_secret_that_an_environment_file_cannot_contain_is_rejected(name: str) -> None:
    secrets = {"token": TOKEN, "stream": None, name: "rtsp://me:two\nlines@cam"}
    with pytest.raises(UsageError, match=f"--{name}: an environment file") as caught:
        make_plan([], serve=None, **secrets)
    assert "two" not in str(caught.value)


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="there is no systemctl")
def test_a_failing_systemctl_leaves_the_files_and_hints_at_the_next_step() -> None:
    plan = make_plan([], serve=None, token=None)
    with pytest.raises(EdgeferError, match="systemctl --user daemon-reload failed with exit code 1") as caught:
        systemd_service.install(plan)
    assert "systemctl --user enable --now edgefer-live.service" in caught.value.hint
    assert plan.unit_path.read_text() == plan.unit


def test_without_systemctl_nothing_is_written(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", str(home))
    plan = make_plan([], serve=None, token="0123456789ab")
    for act in (lambda: systemd_service.install(plan), systemd_service.read_status):
        with pytest.raises(IncompatibleError, match="systemctl is not installed") as caught:
            act()
        assert "edgefer live --serve :4912" in caught.value.hint
    assert os.listdir(home) == []


def test_uninstall_without_a_service_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no service to uninstall") as caught:
        systemd_service.uninstall()
    assert caught.value.hint == "edgefer service install"


@pytest.mark.parametrize("serve", [":0", "0.0.0.0:0", "nonsense"])
def test_an_address_without_a_fixed_port_is_rejected(serve: str) -> None:
    with pytest.raises(UsageError, match="--serve :4912|port"):
        make_plan(["--serve", serve], serve=serve, token=None)


@pytest.mark.parametrize("name", ["two\nlines", "after ", "back\\"])
def test_a_folder_that_a_unit_cannot_contain_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(UsageError, match="folder"):
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
def test_systemd_analyze_accepts_the_unit(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a folder, 100 % $HOME"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # The path of the interpreter needs quoting too.
    python = folder / "py thon"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    plan = make_plan(arguments, serve="0.0.0.0:4912", token="0123456789ab")
    unit = tmp_path / "edgefer-live.service"
    unit.write_text(plan.unit)
    process = subprocess.run(
        [str(ANALYZE), "verify", "--user", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (process.returncode, process.stderr) == (0, "")
