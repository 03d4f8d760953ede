"""What a workstation has a device do before a bench: say what it has, take files, tidy up.

    facts = probe(connection)
    path = put(connection, content, "model.tflite")         # there already, by its hash: nothing is copied
    clean(connection)

The device needs nothing but Python for it. What it runs is SCRIPT below, sent along with each command.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgefer.errors import DataError, DeviceUnreachable, EdgeferError, IncompatibleError
from edgefer.fleet.connection import CommandOutput, Connection

__all__ = ["Facts", "Interpreter", "ask", "clean", "probe", "upload"]

PROBE_S, CLEAN_S = 120.0, 60.0
# A slow link still moves this much.
SLOWEST_BYTES_PER_S = 20_000
# Any Python reads it as far as its first lines, so that an old one can say so. Exit codes of its own: those below.
SCRIPT = r'''
import sys
if sys.version_info < (3, 7):
    sys.stderr.write("Python %d.%d.%d" % sys.version_info[:3])
    sys.exit(70)
import errno, glob, hashlib, json, os, platform, shutil, subprocess
home = os.path.expanduser("~")
cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), "edgefer", "pushed")
data = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share"), "edgefer")
LOOK = """
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
found = {key: next((v for v in map(version, all_) if v), None) for key, all_ in names.items()}
print(json.dumps(dict(found, python=list(sys.version_info[:3]))))
"""
def lines(path):
    try:
        with open(path, errors="replace") as file:
            return file.read().replace("\0", "").splitlines()
    except OSError:
        return []
def fields(path):
    found = {}
    for line in lines(path):
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found
def look(python):
    try:
        said = subprocess.run([python, "-c", LOOK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        return dict(json.loads(said.stdout.decode()), path=python)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
def probe(named):
    cpu, release = fields("/proc/cpuinfo"), {}
    for line in lines("/etc/os-release"):
        key, _, value = line.partition("=")
        release[key] = value.strip('"')
    flags = set((cpu.get("Features") or cpu.get("flags") or "").split())
    memory = fields("/proc/meminfo").get("MemTotal", "0 kB").split()[0]
    own = sorted(glob.glob(os.path.join(data, "venv-*", "bin", "python")))
    pythons = list(dict.fromkeys(named + own + [sys.executable]))
    room = cache
    while not os.path.isdir(room):
        room = os.path.dirname(room)
    tree = lines("/proc/device-tree/model") or lines("/sys/firmware/devicetree/base/model")
    print(json.dumps({
        "board": (tree or [cpu.get("Model")])[0],
        "machine": platform.machine(), "cores": os.cpu_count() or 1, "ram_bytes": int(memory) * 1024,
        "dot_product": bool(flags & {"asimddp", "avx512_vnni", "avx_vnni"}), "os": release.get("PRETTY_NAME"),
        "libc": " ".join(platform.libc_ver()), "free_bytes": shutil.disk_usage(room).free, "cache": cache, "data": data,
        "interpreters": [each for each in map(look, pythons) if each],
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
            sys.stderr.write("%d of %s bytes came" % (len(content), size))
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
    gone = [folder for folder in ([cache, data] if everything else [cache]) if os.path.isdir(folder)]
    freed = sum(os.path.getsize(os.path.join(at, name)) for folder in gone for at, _, names in os.walk(folder)
                for name in names if not os.path.islink(os.path.join(at, name)))
    for folder in gone:
        shutil.rmtree(folder)
    print(json.dumps({"folders": gone, "freed_bytes": freed}))
verb, rest = sys.argv[1], sys.argv[2:]
sys.exit({"probe": lambda: probe(rest), "put": lambda: put(*rest), "clean": lambda: clean(rest == ["all"])}[verb]())
'''
TOO_OLD, DISK_FULL, DAMAGED, NOT_THERE, NO_PYTHON = 70, 71, 72, 73, 127


@dataclass(frozen=True)
class Interpreter:
    """A Python on a device.

    Attributes:
        path: of it, there.
        python: its version, such as (3, 11, 2).
        litert, tflite_runtime, numpy, opencv: versions, or None where it is not installed.
    """

    path: str
    python: tuple[int, ...]
    litert: str | None
    tflite_runtime: str | None
    numpy: str | None
    opencv: str | None

    def lacks(self, runtime: str) -> str:
        """Why edgefer cannot run ``runtime`` in it, or empty."""
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
    """What a device has.

    Attributes:
        board: its model as the device tree names it, or None.
        machine: "aarch64", "armv7l", "x86_64".
        cores: of the processor.
        ram_bytes: all of it.
        dot_product: whether the processor multiplies and adds int8 four at a time (asimddp, VNNI).
        os: name of the system, or None.
        libc: name and version.
        free_bytes: room where the cache is.
        cache, data: folders that edgefer uses there.
        interpreters: Pythons that were found, the configured one first.
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
        """A dict of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Facts:
        """The inverse of to_json()."""
        found = tuple(Interpreter(**{**each, "python": tuple(each["python"])}) for each in fields["interpreters"])
        return cls(**{**fields, "interpreters": found})

    @property
    def runtimes(self) -> dict[str, str]:
        """The version of each runtime that works on the device, by name."""
        return {
            name: str(getattr(each, name))
            for name in ("tflite_runtime", "litert")
            for each in reversed(self.interpreters)
            if not each.lacks(name)
        }

    def choose(self, runtime: str | None, *, device: str) -> tuple[str, str, str]:
        """The runtime to use, ``runtime`` or the best, the Python that has it, and its version.

        Raises:
            IncompatibleError: there is none; the message says what each Python lacks and what mends it.
        """
        wanted = [runtime] if runtime and runtime != "auto" else ["litert", "tflite_runtime"]
        for name in wanted:
            for each in self.interpreters:
                if not each.lacks(name):
                    return name, each.path, str(getattr(each, name))
        reasons = [f"{each.path}: {each.lacks(wanted[0])}" for each in self.interpreters]
        raise IncompatibleError(
            f"{device} has no Python that runs {wanted[0]}",
            why="; ".join(reasons) or "no Python was found",
            hint=f"edgefer devices setup {device} --runtime {wanted[0]}",
        )


def probe(connection: Connection, pythons: Sequence[str] = ()) -> Facts:
    """Ask a device what it has; ``pythons`` are looked at first.

    Raises:
        DeviceUnreachable: it does not answer.
        IncompatibleError: it has no Python, or one that is too old.
    """
    said = ask(connection, "probe", *pythons, timeout_s=PROBE_S)
    return Facts.from_json(json.loads(said.stdout))


def upload(connection: Connection, content: bytes, name: str) -> str:
    """Bring ``content`` to the device, if it is not there yet; its path there, which ends in ``name``.

    Raises:
        DeviceUnreachable: the link broke; nothing half is left under the path.
        DataError: the disk is full.
    """
    digest = hashlib.sha256(content).hexdigest()
    # A folder of its own, so that the file keeps its name.
    kept = f"{digest[:16]}/{name}"
    said = ask(connection, "put", kept, digest, "?", timeout_s=PROBE_S, expected=NOT_THERE)
    if said.exit_code == NOT_THERE:
        timeout_s = PROBE_S + len(content) / SLOWEST_BYTES_PER_S
        said = ask(connection, "put", kept, digest, str(len(content)), stdin=content, timeout_s=timeout_s)
    return said.stdout.decode().strip()


def clean(connection: Connection, *, everything: bool = False) -> dict[str, Any]:
    """Remove what was pushed, and with ``everything`` the virtual environments too; what was removed."""
    arguments = ["all"] if everything else []
    removed: dict[str, Any] = json.loads(ask(connection, "clean", *arguments, timeout_s=CLEAN_S).stdout)
    return removed


def ask(
    connection: Connection, verb: str, *arguments: str, stdin: bytes = b"", timeout_s: float, expected: int = 0
) -> CommandOutput:
    """Run the script there; ``expected`` is an exit code that is no failure, beside 0."""
    said = connection.run([connection.python, "-c", SCRIPT, verb, *arguments], stdin=stdin, timeout_s=timeout_s)
    if said.exit_code in (0, expected):
        return said
    raise _failure(said, connection)


def _failure(said: CommandOutput, connection: Connection) -> EdgeferError:
    last = (said.stderr.strip().splitlines() or [""])[-1][:300]
    name, python = connection.name, connection.python
    if said.exit_code == NO_PYTHON:
        return IncompatibleError(
            f"{name} has no {python}", why=last, hint="on the board: sudo apt install python3 python3-venv"
        )
    if said.exit_code == TOO_OLD:
        return IncompatibleError(
            f"{python} on {name} is {last}", why="edgefer needs 3.10 to 3.13",
            hint="a newer one: edgefer devices add NAME ADDRESS --python /path/to/python3.11",
        )  # fmt: skip
    if said.exit_code == DISK_FULL:
        return DataError(f"the disk of {name} is full", why=last, hint=f"edgefer devices clean {name}")
    if said.exit_code == DAMAGED:
        return DeviceUnreachable(f"a file came to {name} damaged", why=last, hint="the same again")
    return EdgeferError(f"{python} on {name} ended with code {said.exit_code}", why=last)
