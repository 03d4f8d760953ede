"""The script that probes a board, receives uploads and removes them; every command sends it along.

The board needs only Python. An old Python must be able to parse the script, so that it reports its version. Each reply
is one line behind MARK, so that other output cannot be mistaken for it.
"""

from __future__ import annotations

__all__ = ["BUSY", "DAMAGED", "DISK_FULL", "MARK", "NOT_THERE", "SCRIPT", "TOO_OLD", "UNWRITABLE"]

MARK = "edgefer-reply:"
EXIT_CODES = TOO_OLD, DISK_FULL, DAMAGED, NOT_THERE, UNWRITABLE, BUSY = (70, 71, 72, 73, 74, 75)
CONSTANTS = f"""
MARK = {MARK!r}
TOO_OLD, DISK_FULL, DAMAGED, NOT_THERE, UNWRITABLE, BUSY = {EXIT_CODES}
"""

# "python -c" puts the working folder first on the path. sys is built in, so a platform.py in the home folder has not
# been imported yet. The child of read_packages() imports every package, because metadata also lists packages for other
# processors, or with missing libraries. A crash ends the child, which then starts again after the module that crashed.
SCRIPT = CONSTANTS + r'''
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
if sys.version_info < (3, 7):
    sys.stderr.write("Python %d.%d.%d" % sys.version_info[:3])
    sys.exit(TOO_OLD)
import errno, fcntl, glob, hashlib, json, os, platform, shutil, signal, struct, subprocess
home = os.path.expanduser("~")
def folder_of(name, default):
    # The XDG standard ignores relative paths.
    path = os.environ.get(name, "")
    return path if os.path.isabs(path) else os.path.join(home, default)
cache = os.path.join(folder_of("XDG_CACHE_HOME", ".cache"), "edgefer", "pushed")
data = os.path.join(folder_of("XDG_DATA_HOME", ".local/share"), "edgefer")
PACKAGES = "MARK = %r" % MARK + """
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
import importlib.util, json, os, platform, struct
try:
    from importlib import metadata
except ImportError:
    metadata = None
entries = [entry for entry in os.environ.get("EDGEFER_PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)]
at = [i for i, entry in enumerate(sys.path) if os.path.basename(entry) in ("site-packages", "dist-packages")]
at = (at or [len(sys.path)])[0]
sys.path[at:at] = entries
cv = "opencv-python"
KINDS = {"numpy": ("numpy", ["numpy"]), "litert": ("ai_edge_litert.interpreter", ["ai-edge-litert"]),
         "tflite_runtime": ("tflite_runtime.interpreter", ["tflite-runtime"]),
         "opencv": ("cv2", [cv + "-headless", cv, "opencv-contrib-python", "opencv-contrib-python-headless"])}
def version(names, module):
    for name in names if metadata else []:
        try:
            return str(metadata.version(name))
        except Exception:
            pass
    package = sys.modules.get(module.partition(".")[0])
    return str(getattr(package, "__version__", "unknown"))
def send(**fields):
    sys.__stdout__.write(MARK + json.dumps(fields) + chr(10))
    sys.__stdout__.flush()
send(python=list(sys.version_info[:3]), bits=8 * struct.calcsize("P"), machine=platform.machine())
for kind in sys.argv[1:]:
    module, names = KINDS[kind]
    result = {"kind": kind, "version": None, "error": None}
    try:
        installed = importlib.util.find_spec(module.partition(".")[0]) is not None
    except Exception:
        installed = True
    if installed:
        send(starting=kind, version=version(names, module))
        try:
            importlib.import_module(module)
        except BaseException as error:
            result["error"] = ("%s: %s" % (type(error).__name__, error))[:300]
        result["version"] = version(names, module)
    send(**result)
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
def userland(machine, bits):
    if bits != 32:
        return machine
    return {"aarch64": "armv7l", "arm64": "armv7l", "armv8l": "armv7l", "x86_64": "i686", "AMD64": "i686",
            "riscv64": "riscv32"}.get(machine, machine)
def read_packages(python):
    values = {"path": python, "errors": {}, "numpy": None, "opencv": None, "litert": None, "tflite_runtime": None}
    # The two runtimes cannot be imported in one process.
    for kinds in (["numpy", "opencv", "litert"], ["numpy", "tflite_runtime"]):
        while kinds:
            try:
                child = subprocess.run([python, "-c", PACKAGES] + kinds, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
                output, code = child.stdout, child.returncode
            except subprocess.TimeoutExpired as error:
                output, code = error.stdout or b"", None
            except OSError:
                return None
            starting = None
            for line in output.decode(errors="replace").splitlines():
                if MARK not in line:
                    continue
                try:
                    event = json.loads(line.partition(MARK)[2])
                except ValueError:
                    continue
                if "python" in event:
                    values.update(python=event["python"], bits=event["bits"],
                                  machine=userland(event["machine"], event["bits"]))
                elif "starting" in event:
                    starting = event
                else:
                    starting = None
                    values[event["kind"]] = event["version"]
                    if event["error"]:
                        values["errors"][event["kind"]] = event["error"]
            if "python" not in values:
                return None
            if starting is None:
                break
            kind = starting["starting"]
            values[kind] = starting["version"]
            if code is None:
                values["errors"][kind] = "its import takes more than 120 s"
            elif code < 0:
                values["errors"][kind] = "its import ends with " + signal.Signals(-code).name
            else:
                values["errors"][kind] = "its import ends with exit code %d" % code
            kinds = kinds[kinds.index(kind) + 1:]
    return values
def reply(value):
    print(MARK + json.dumps(value))
def probe(paths):
    cpu, release = fields("/proc/cpuinfo"), {}
    for line in lines("/etc/os-release"):
        key, _, value = line.partition("=")
        release[key] = value.strip("\"'")
    flags = set((cpu.get("Features") or cpu.get("flags") or "").split())
    memory = (fields("/proc/meminfo").get("MemTotal") or "0 kB").split()[0]
    environments = sorted(glob.glob(os.path.join(data, "venv-*", "bin", "python")))
    paths = [os.path.expanduser(path) for path in paths]
    pythons = list(dict.fromkeys(paths + environments + [sys.executable]))
    existing = cache
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    tree = lines("/proc/device-tree/model") or lines("/sys/firmware/devicetree/base/model")
    bits = 8 * struct.calcsize("P") if sys.maxsize > 2 ** 32 else 32
    reply({
        "board": (tree or [cpu.get("Model")])[0],
        "machine": userland(platform.machine(), bits), "kernel_machine": platform.machine(), "bits": bits,
        "cores": os.cpu_count() or 1, "ram_bytes": int(memory) * 1024 if memory.isdigit() else 0,
        "dot_product": bool(flags & {"asimddp", "avx512_vnni", "avx_vnni"}), "os": release.get("PRETTY_NAME"),
        "libc": " ".join(platform.libc_ver()), "free_bytes": shutil.disk_usage(existing).free,
        "cache": cache, "data": data, "python": list(sys.version_info[:3]),
        "interpreters": [values for values in map(read_packages, pythons) if values],
    })
def is_intact(path, digest):
    actual = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                actual.update(block)
    except OSError:
        return False
    return actual.hexdigest() == digest
def put(name, digest, size):
    path = os.path.join(cache, name)
    if is_intact(path, digest):
        reply(path)
        return 0
    if size == "?":
        return NOT_THERE
    folder = os.path.dirname(path)
    part = "%s.%d.part" % (path, os.getpid())
    try:
        os.makedirs(folder, exist_ok=True)
        remaining, actual = int(size), hashlib.sha256()
        with open(part, "wb") as file:
            while remaining:
                block = sys.stdin.buffer.read(min(remaining, 1 << 20))
                if not block:
                    break
                file.write(block)
                actual.update(block)
                remaining -= len(block)
            file.flush()
            os.fsync(file.fileno())
        if remaining or actual.hexdigest() != digest:
            sys.stderr.write("received %d of %s bytes" % (int(size) - remaining, size))
            return DAMAGED
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.replace(part, path)
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        sys.stderr.write("%s: %s: %r" % (cache, os.strerror(error.errno), error.filename or part))
        return DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else UNWRITABLE
    finally:
        if os.path.exists(part):
            os.remove(part)
    reply(path)
    return 0
def clean(everything):
    # The lock of benchmark_lock(). Its file stays, because a lock belongs to the open file and not to the name.
    lock, holder = os.path.join(cache, "bench.lock"), "(unknown ID)"
    if os.path.isdir(cache):
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
            holder = os.pread(handle, 20, 0).decode(errors="replace") or holder
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("process %s holds %s" % (holder, lock))
            return BUSY
        except OSError:
            # A full disk, or a file system without locks.
            pass
    folders, freed = [], 0
    for folder in [cache, data] if everything else [cache]:
        names = os.listdir(folder) if os.path.isdir(folder) else []
        paths = [os.path.join(folder, name) for name in names]
        paths = [path for path in paths if path != lock]
        for path in paths:
            is_folder = os.path.isdir(path) and not os.path.islink(path)
            inside = [os.path.join(at, name) for at, _, names in os.walk(path) for name in names]
            files = inside if is_folder else [path]
            freed += sum(os.lstat(file).st_size for file in files if not os.path.islink(file))
            shutil.rmtree(path) if is_folder else os.remove(path)
        folders += [folder] if paths else []
    if everything and os.path.isdir(data):
        shutil.rmtree(data)
    reply({"folders": folders, "freed_bytes": freed})
    return 0
verb, arguments = sys.argv[1], sys.argv[2:]
sys.exit({"probe": lambda: probe(arguments), "put": lambda: put(*arguments),
          "clean": lambda: clean(arguments == ["all"])}[verb]())
'''
