"""Upload files to a board, and remove uploaded files.

    path = upload(connection, content, "model.tflite")      # skipped if the board already has this content
    clean(connection)
"""

from __future__ import annotations

import hashlib
from typing import Any

from edgefer.fleet.agent import invalid_reply_errors, read_reply, run_agent
from edgefer.fleet.agent_script import NOT_THERE
from edgefer.fleet.connection import Connection
from edgefer.results.schema import Fields

__all__ = ["clean", "upload"]

# Time limits of the check for an existing copy and of the removal, seconds.
CHECK_S, CLEAN_S = 600.0, 60.0
# Lower bound for the speed of a connection, which bounds the time of an upload.
MIN_BYTES_PER_S = 20_000


def upload(connection: Connection, content: bytes, name: str) -> str:
    """Upload a file, unless the cache of the device already has it; a damaged file there is replaced.

    Args:
        connection: to the device.
        content: content of the file.
        name: file name on the device.

    Returns:
        The path on the device, which ends in ``name``.

    Raises:
        DeviceUnreachable: the connection broke; no incomplete file is left under the path.
        DataError: the disk of the device is full, or the reply is invalid.
    """
    digest = hashlib.sha256(content).hexdigest()
    # A folder per content keeps the file name.
    path = f"{digest[:16]}/{name}"
    output = run_agent(connection, "put", path, digest, "?", timeout_s=CHECK_S, accepted=NOT_THERE)
    if output.exit_code == NOT_THERE:
        timeout_s = CHECK_S + len(content) / MIN_BYTES_PER_S
        output = run_agent(connection, "put", path, digest, str(len(content)), stdin=content, timeout_s=timeout_s)
    with invalid_reply_errors(connection.name):
        return Fields({"path": read_reply(output)}).text("path")


def clean(connection: Connection, *, everything: bool = False) -> dict[str, Any]:
    """Remove uploaded files from a device; only the lock file of benchmarks stays.

    Args:
        connection: to the device.
        everything: also remove the virtual environments.

    Returns:
        ``folders``, the folders with removed files, and ``freed_bytes``.

    Raises:
        DeviceUnreachable: a benchmark is running on the device.
    """
    arguments = ["all"] if everything else []
    output = run_agent(connection, "clean", *arguments, timeout_s=CLEAN_S)
    with invalid_reply_errors(connection.name):
        removed = Fields(read_reply(output))
        return {"folders": list(removed.texts("folders")), "freed_bytes": removed.count("freed_bytes")}
