from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer.board.lock import cache_folder, only_bench
from edgefer.errors import DeviceUnreachable

HOLDER = """
import sys
from pathlib import Path
from edgefer.board.lock import only_bench
with only_bench(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_bench_is_refused_by_the_number_of_the_first_and_let_in_after_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DeviceUnreachable, match="another bench") as caught, only_bench(tmp_path):
            pass
        assert str(holder.pid) in caught.value.why
        holder.kill()
    with only_bench(tmp_path):
        assert (tmp_path / "bench.lock").read_text() == str(os.getpid())


def test_the_cache_is_where_the_desktop_standard_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "edgefer" / "pushed"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "edgefer" / "pushed"
