"""Run the agent script on a board: probe its hardware and software, upload files, remove uploads.

    facts = probe(connection)
    path = upload(connection, content, "model.tflite")      # skipped if the board already has this content
    clean(connection)

The board needs only Python. Every command sends SCRIPT along, so nothing of edgefer is installed there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgefer.errors import DataError, DeviceUnreachable, EdgeferError, IncompatibleError
from edgefer.fleet.connection import CommandOutput, Connection

__all__ = ["Facts", "Interpreter", "clean", "probe", "upload"]

PROBE_S, CLEAN_S = 120.0, 60.0
# Lower bound for the speed of a connection, which bounds the time of an upload.
MIN_BYTES_PER_S = 20_000
# Every Python can parse the script, so an old one reports its version. The exit codes are defined below it.
SCRIPT = r'''
import sys
if sys.version_info < (3, 7):
    sys.stderr.write("Python %d.%d.%d" % sys.version_info[:3])
    sys.exit(70)
import errno, glob, hashlib, json, os, platform, shutil, subprocess
home = os.path.expanduser("~")
cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), "edgefer", "pushed")
data = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share"), "edgefer")
PACKAGES = """
import json, sys
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
cv = "opencv-python"
names = {"litert": ["ai-edge-litert"], "tflite_runtime": ["tflite-runtime"], "numpy": ["numpy"],
         "opencv": [cv + "-headless", cv, "opencv-contrib-python", "opencv-contrib-python-headless"]}
versions = {key: next((v for v in map(version, packages) if v), None) for key, packages in names.items()}
print(json.dumps(dict(versions, python=list(sys.version_info[:3]))))
"""
def lines(path):
    try:
        with open(path, errors="replace") as file:
            return file.read().replace("\0", "").splitlines()
    except OSError:
        return []
def fields(path):
    values = {}
    for line in lines(path):
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    return values
def read_packages(python):
    try:
        ended = subprocess.run([python, "-c", PACKAGES], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        return dict(json.loads(ended.stdout.decode()), path=python)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
def probe(paths):
    cpu, release = fields("/proc/cpuinfo"), {}
    for line in lines("/etc/os-release"):
        key, _, value = line.partition("=")
        release[key] = value.strip('"')
    flags = set((cpu.get("Features") or cpu.get("flags") or "").split())
    memory = fields("/proc/meminfo").get("MemTotal", "0 kB").split()[0]
    environments = sorted(glob.glob(os.path.join(data, "venv-*", "bin", "python")))
    pythons = list(dict.fromkeys(paths + environments + [sys.executable]))
    existing = cache
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    tree = lines("/proc/device-tree/model") or lines("/sys/firmware/devicetree/base/model")
    print(json.dumps({
        "board": (tree or [cpu.get("Model")])[0],
        "machine": platform.machine(), "cores": os.cpu_count() or 1, "ram_bytes": int(memory) * 1024,
        "dot_product": bool(flags & {"asimddp", "avx512_vnni", "avx_vnni"}), "os": release.get("PRETTY_NAME"),
        "libc": " ".join(platform.libc_ver()), "free_bytes": shutil.disk_usage(existing).free,
        "cache": cache, "data": data,
        "interpreters": [values for values in map(read_packages, pythons) if values],
    }))
def put(name, digest, size):
    path = os.path.join(cache, name)
    if os.path.exists(path):
        print(path)
        return 0
    if size == "?":
        return 73
    part = "%s.%d.part" % (path, os.getpid())
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(part, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        with open(part, "rb") as file:
            content = file.read()
        if len(content) != int(size) or hashlib.sha256(content).hexdigest() != digest:
            sys.stderr.write("received %d of %s bytes" % (len(content), size))
            return 72
        os.replace(part, path)
    except OSError as error:
        sys.stderr.write("%s: %s" % (cache, os.strerror(error.errno)))
        return 71 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 74
    finally:
        if os.path.exists(part):
            os.remove(part)
    print(path)
    return 0
def clean(everything):
    folders = [folder for folder in ([cache, data] if everything else [cache]) if os.path.isdir(folder)]
    freed = sum(os.path.getsize(os.path.join(at, name)) for folder in folders for at, _, names in os.walk(folder)
                for name in names if not os.path.islink(os.path.join(at, name)))
    for folder in folders:
        shutil.rmtree(folder)
    print(json.dumps({"folders": folders, "freed_bytes": freed}))
verb, arguments = sys.argv[1], sys.argv[2:]
sys.exit({"probe": lambda: probe(arguments), "put": lambda: put(*arguments),
          "clean": lambda: clean(arguments == ["all"])}[verb]())
'''
TOO_OLD, DISK_FULL, DAMAGED, NOT_THERE, NO_PYTHON = 70, 71, 72, 73, 127


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter on a device.

    Attributes:
        path: its path on the device.
        python: its version, such as (3, 11, 2).
        litert, tflite_runtime, numpy, opencv: installed versions, or None.
    """

    path: str
    python: tuple[int, ...]
    litert: str | None
    tflite_runtime: str | None
    numpy: str | None
    opencv: str | None

    def problem_with(self, runtime: str) -> str:
        """Return why edgefer cannot use ``runtime`` in this interpreter, or an empty string."""
        if not (3, 10) <= self.python[:2] <= (3, 13):
            return f"Python {'.'.join(map(str, self.python))} is not 3.10 to 3.13"
        missing = [name for name in ("numpy", "opencv", runtime) if getattr(self, name) is None]
        if missing:
            return f"no {', '.join(missing)}"
        if runtime == "tflite_runtime" and not str(self.numpy).startswith("1."):
            return f"tflite-runtime does not work with numpy {self.numpy}"
        return ""


@dataclass(frozen=True)
class Facts:
    """Hardware and software of a device, as probed.

    Attributes:
        board: board model from the device tree, or None.
        machine: "aarch64", "armv7l" or "x86_64".
        cores: number of processor cores.
        ram_bytes: total memory.
        dot_product: True if the processor has int8 dot product instructions (asimddp, VNNI).
        os: name of the operating system, or None.
        libc: name and version of the C library.
        free_bytes: free disk space at the cache folder.
        cache, data: folders that edgefer uses on the device.
        interpreters: Python interpreters on the device, the configured one first.
    """

    board: str | None
    machine: str
    cores: int
    ram_bytes: int
    dot_product: bool
    os: str | None
    libc: str
    free_bytes: int
    cache: str
    data: str
    interpreters: tuple[Interpreter, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-compatible values; from_json() is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Facts:
        """Create facts from the output of to_json()."""
        interpreters = tuple(
            Interpreter(**{**values, "python": tuple(values["python"])}) for values in fields["interpreters"]
        )
        return cls(**{**fields, "interpreters": interpreters})

    @property
    def runtimes(self) -> dict[str, str]:
        """Version of each runtime that works on the device, by name."""
        return {
            name: str(getattr(interpreter, name))
            for name in ("tflite_runtime", "litert")
            for interpreter in reversed(self.interpreters)
            if not interpreter.problem_with(name)
        }

    def select_runtime(self, runtime: str | None, *, device: str) -> tuple[str, str, str]:
        """Select a runtime and the first interpreter on the device that has it.

        Args:
            runtime: name of the runtime; None or "auto" selects the best.
            device: name of the device, for the error message.

        Returns:
            The name of the runtime, the path of the interpreter, and the version of the runtime.

        Raises:
            IncompatibleError: no interpreter can use the runtime; the message has the reason for each of them.
        """
        candidates = [runtime] if runtime and runtime != "auto" else ["litert", "tflite_runtime"]
        for name in candidates:
            for interpreter in self.interpreters:
                if not interpreter.problem_with(name):
                    return name, interpreter.path, str(getattr(interpreter, name))
        problems = [f"{found.path}: {found.problem_with(candidates[0])}" for found in self.interpreters]
        raise IncompatibleError(
            f"{device} has no Python with a working {candidates[0]}",
            why="; ".join(problems) or "no Python was found",
            hint=f"edgefer devices setup {device} --runtime {candidates[0]}",
        )


def probe(connection: Connection, pythons: Sequence[str] = ()) -> Facts:
    """Probe the hardware, the interpreters and the runtimes of a device.

    Args:
        connection: to the device.
        pythons: paths of interpreters to list first.

    Raises:
        DeviceUnreachable: the device does not answer.
        IncompatibleError: the device has no Python, or one older than 3.7.
    """
    output = _run_agent(connection, "probe", *pythons, timeout_s=PROBE_S)
    return Facts.from_json(json.loads(output.stdout))


def upload(connection: Connection, content: bytes, name: str) -> str:
    """Upload a file, unless the cache of the device already has it.

    Args:
        connection: to the device.
        content: content of the file.
        name: file name on the device.

    Returns:
        The path on the device, which ends in ``name``.

    Raises:
        DeviceUnreachable: the connection broke; no incomplete file is left under the path.
        DataError: the disk of the device is full.
    """
    digest = hashlib.sha256(content).hexdigest()
    # A folder per content keeps the file name.
    path = f"{digest[:16]}/{name}"
    output = _run_agent(connection, "put", path, digest, "?", timeout_s=PROBE_S, accepted=NOT_THERE)
    if output.exit_code == NOT_THERE:
        timeout_s = PROBE_S + len(content) / MIN_BYTES_PER_S
        output = _run_agent(connection, "put", path, digest, str(len(content)), stdin=content, timeout_s=timeout_s)
    return output.stdout.decode().strip()


def clean(connection: Connection, *, everything: bool = False) -> dict[str, Any]:
    """Remove uploaded files from a device.

    Args:
        connection: to the device.
        everything: also remove the virtual environments.

    Returns:
        ``folders``, the removed folders, and ``freed_bytes``.
    """
    arguments = ["all"] if everything else []
    removed: dict[str, Any] = json.loads(_run_agent(connection, "clean", *arguments, timeout_s=CLEAN_S).stdout)
    return removed


def _run_agent(
    connection: Connection, verb: str, *arguments: str, stdin: bytes = b"", timeout_s: float, accepted: int = 0
) -> CommandOutput:
    """Run the agent script on the device; ``accepted`` is an exit code besides 0 that is not an error."""
    output = connection.run([connection.python, "-c", SCRIPT, verb, *arguments], stdin=stdin, timeout_s=timeout_s)
    if output.exit_code in (0, accepted):
        return output
    raise _describe_failure(output, connection)


def _describe_failure(output: CommandOutput, connection: Connection) -> EdgeferError:
    last_line = (output.stderr.strip().splitlines() or [""])[-1][:300]
    name, python = connection.name, connection.python
    if output.exit_code == NO_PYTHON:
        hint = "on the board: sudo apt install python3 python3-venv"
        return IncompatibleError(f"{name} has no {python}", why=last_line, hint=hint)
    if output.exit_code == TOO_OLD:
        hint = "edgefer devices add NAME ADDRESS --python /path/to/python3.11"
        what = f"{python} on {name} is too old: {last_line}"
        return IncompatibleError(what, why="edgefer needs Python 3.10 to 3.13", hint=hint)
    if output.exit_code == DISK_FULL:
        return DataError(f"the disk of {name} is full", why=last_line, hint=f"edgefer devices clean {name}")
    if output.exit_code == DAMAGED:
        return DeviceUnreachable(f"an upload to {name} was damaged", why=last_line, hint="run the same command again")
    return EdgeferError(f"{python} on {name} ended with exit code {output.exit_code}", why=last_line)
