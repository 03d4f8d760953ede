"""``edgefer service``, and its unit run by a real systemd user manager in separate namespaces."""

import functools
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer import plugins

ROOT = Path(__file__).parents[3]
SYSTEMD = next((path for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if Path(path).exists()), None)
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--mount-proc"]
# Runs inside the namespaces: start a manager, run edgefer like a user, and print the observations as JSON.
LIFE = r"""
import json, os, signal, subprocess, sys, time, urllib.request
from pathlib import Path

systemd, film, port, token = sys.argv[1:]
observed = {}

def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)

def edgefer(*arguments):
    done = run(sys.executable, "-m", "edgefer", "service", *arguments)
    return [done.returncode, done.stdout, done.stderr]

def shown(name):
    return run("systemctl", "--user", "show", "--value", f"--property={name}", "edgefer-live.service").stdout.strip()

def until(condition, seconds=40):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()

def healthz():
    request = urllib.request.Request(f"http://127.0.0.1:{port}/healthz", headers={"Authorization": f"Bearer {token}"})
    return json.loads(urllib.request.urlopen(request, timeout=5).read())

subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
runtime = Path("/run/user/0")
for folder in (runtime, Path("/run/systemd/system")):
    folder.mkdir(parents=True)
runtime.chmod(0o700)
os.environ["XDG_RUNTIME_DIR"] = str(runtime)
manager = subprocess.Popen([systemd, "--user"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if not until(lambda: run("systemctl", "--user", "is-system-running").stdout.strip() in ("running", "degraded"), 15):
    print("no manager")
    sys.exit()

# The times in the unit suit a board; a test needs shorter ones.
extra = Path.home() / ".config/systemd/user/edgefer-live.service.d/test.conf"
extra.parent.mkdir(parents=True)
extra.write_text("[Service]\nWatchdogSec=4\nRestartSec=0\nTimeoutAbortSec=1\n")

observed["before"] = edgefer("status")
observed["installed"] = edgefer("install", "--", "--video", film, "--serve", f"0.0.0.0:{port}", "--token", token)
observed["shown"] = until(lambda: "fps" in shown("StatusText")) and shown("StatusText")
observed["status"] = edgefer("status")
observed["record"] = json.loads(edgefer("status", "--json")[1])
observed["healthz"] = healthz()
first = int(shown("MainPID"))
observed["command"] = Path(f"/proc/{first}/cmdline").read_text().split("\0")
os.kill(first, signal.SIGSTOP)
observed["restarted"] = until(lambda: shown("NRestarts") == "1" and shown("ActiveState") == "active")
second = int(shown("MainPID"))
observed["new process"] = second not in (0, first)
begin = time.monotonic()
observed["uninstalled"] = edgefer("uninstall")
observed["stop_s"] = time.monotonic() - begin
observed["result"] = shown("Result")
observed["gone"] = not Path(f"/proc/{second}").exists()
observed["left"] = sorted(str(path) for path in (Path.home() / ".config").rglob("*edgefer*") if path.is_file())
observed["after"] = edgefer("status")
print(json.dumps(observed))
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Return a home folder without configuration and without a running user manager."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "EDGEFER_TOKEN", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_print_shows_the_unit_and_writes_nothing(edgefer, home):
    outcome = edgefer("service", "install", "--print", "--", "--camera", 0, "--serve", ":5000")
    assert outcome.code == 0, outcome.err
    assert "live --camera 0 --serve :5000\n" in outcome.out
    assert outcome.out.startswith("# Written by edgefer")
    assert os.listdir(home) == []
    record = edgefer("service", "install", "--print", "--json").record
    assert (record["kind"], record["schema_version"]) == ("service", 1)
    assert "[Install]" in record["unit"]


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["install", "--", "--camra", "0"], 2, "--camera"),
        (["install", "--", "--threads", "0"], 2, "--threads"),
        (["install", "--camera", "0"], 2, "Try"),
        (["install", "--", "--serve", "4912"], 2, "--serve :4912"),
        (["install", "--print", "--", "--token", "secret"], 2, "at least 12 characters"),
        (["install", "--print", "--", "--camera", "0", "--video", "clip.mp4"], 2, "--camera together with --video"),
        (["install", "--print", "--", "--camera", "picamera"], 2, "picamera2"),
        (["uninstall"], 2, "edgefer service install"),
    ],
)
def test_invalid_arguments_get_a_hint(refused, arguments, code, named):
    assert named in refused("service", *arguments, code=code)


def test_options_of_live_are_written_into_the_unit(edgefer):
    live = plugins.load("edgefer.cli.commands", "live").command
    assert {"serve", "token"} <= {parameter.name for parameter in live.params}
    outcome = edgefer("service", "install", "--print", "--", "--stream", "rtsp://pi/a b", "--detect-every", 3)
    assert 'live --serve :4912 --stream "rtsp://pi/a b" --detect-every 3\n' in outcome.out


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="there is no systemctl")
def test_without_a_user_manager_the_error_has_the_next_command(edgefer, home):
    outcome = edgefer("service", "install", "--", "--serve", "0.0.0.0:4912")
    assert outcome.code == 1
    assert "systemctl --user enable --now edgefer-live.service" in outcome.err
    secret = home / ".config" / "edgefer" / "live.env"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text().startswith('EDGEFER_TOKEN="')


def test_without_systemctl_the_hint_is_to_run_live_directly(refused, home, monkeypatch):
    monkeypatch.setenv("PATH", str(home))
    for name in ("install", "status"):
        assert "edgefer live --serve :4912" in refused("service", name, code=5)


@functools.cache
def can_have_a_manager():
    if os.geteuid() != 0 or SYSTEMD is None or shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def film(tmp_path):
    """Return a video of a gray wall, one minute long."""
    path = tmp_path / "a film, 100 % $HOME.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for number in range(600):
        writer.write(np.full((240, 320, 3), 90 + number % 50, np.uint8))
    writer.release()
    return path


@pytest.mark.slow
@pytest.mark.skipif(not can_have_a_manager(), reason="a separate user manager needs systemd, root and namespaces")
def test_systemd_starts_watches_restarts_and_stops_the_service(tmp_path, film, home):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = 'a "token" with $HOME \\ `x`'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*NAMESPACES, sys.executable, "-c", LIFE, SYSTEMD, str(film), str(port), token]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    if done.stdout.strip() == "no manager":
        pytest.skip("a separate user manager cannot start here")
    observed = json.loads(done.stdout)
    code, out, err = observed["installed"]
    assert code == 0, err
    assert f":{port}/?token=a%20%22token%22%20with%20%24HOME%20%5C%20%60x%60\n" in out
    assert "sudo loginctl enable-linger" in out
    assert str(home / ".config" / "systemd" / "user" / "edgefer-live.service") in err
    assert observed["before"][:2] == [0, "state: not installed\n"]
    assert "fps, 0 faces" in observed["shown"]
    assert "state: active (running)" in observed["status"][1]
    assert observed["record"]["state"]["UnitFileState"] == "enabled"
    assert observed["healthz"]["ok"]
    assert observed["command"][1:-1] == ["-m", "edgefer", "live", "--video", str(film), "--serve", f"0.0.0.0:{port}"]
    # A process that hangs is killed and restarted.
    assert observed["restarted"]
    assert observed["new process"]
    assert observed["uninstalled"][0] == 0, observed["uninstalled"]
    assert observed["stop_s"] < 10
    assert observed["result"] == "success"
    assert observed["gone"]
    assert observed["left"] == []
    assert observed["after"][:2] == [0, "state: not installed\n"]
