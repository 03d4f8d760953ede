"""Searches from the command line: on a cluster that loses a machine, and on one machine whose process is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_space import SPACE

from edgefer.results.architecture_search import FINISHED, OVER_BUDGET, ArchitectureSearch
from edgefer.search.journal import SearchFolder, replay

CLUSTER = Path(__file__).parents[1] / "helpers" / "ray_cluster.py"
TRIALS = 10
# Networks of width 32 have more, those of width 8 fewer.
MAX_MACS = 4e6
DEADLINE_S = 900
MARK = "EDGEFER_SEARCH_TEST"
EDGEFER = [sys.executable, "-m", "edgefer", "search"]
# Without early stopping, the result of a trial does not depend on the order in which trials run.
START = ["--judge", "macs", "--max-cost", str(MAX_MACS), "--all-epochs", "--memory-per-trial", "1"]


def wait_until(condition, *, process=None):
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.1)


def events(folder, kind):
    return [event for event in SearchFolder(folder).events() if event["event"] == kind]


def read(folder):
    return ArchitectureSearch.from_json(json.loads((folder / "search.json").read_text()))


def results(record):
    return {trial.number: (trial.drawn, trial.accuracy, trial.float_accuracy, trial.cost) for trial in record.trials}


def start(arguments, cwd):
    """Start a search whose processes all have the folder in their environment."""
    return subprocess.Popen(
        [*EDGEFER, *map(str, arguments)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, MARK: str(cwd)},
    )  # fmt: skip


def processes(cwd):
    """Return the command lines of the processes that a search in ``cwd`` has started and that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={cwd}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, drawn_faces_file):
    folder = tmp_path_factory.mktemp("search")
    (folder / "tiny.toml").write_text(SPACE)
    return folder


@pytest.fixture(scope="module")
def on_cluster(workplace, drawn_faces_file):
    """Search on a cluster of two nodes, of which one is lost while it trains; return the record and the output."""
    folder = workplace / "runs" / "search-cluster"
    with subprocess.Popen(
        [sys.executable, str(CLUSTER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as cluster:
        address = cluster.stdout.readline().strip()
        assert address, cluster.stderr.read()
        arguments = ["tiny.toml", "--data", drawn_faces_file, "--name", "cluster", "--trials", TRIALS, *START]
        with start([*arguments, "--address", address], workplace) as search:
            wait_until(lambda: len(events(folder, "epoch")) >= 2, process=search)
            cluster.stdin.write("\n")
            cluster.stdin.flush()
            out, err = search.communicate(timeout=DEADLINE_S)
        assert search.returncode == 0, err
        cluster.stdin.close()
        cluster.wait(60)
    return read(folder), out, err


@pytest.mark.slow
def test_a_search_survives_the_loss_of_a_machine_and_trains_every_trial(on_cluster):
    record, out, err = on_cluster
    assert record.count(FINISHED) == TRIALS
    assert {trial.epochs for trial in record.trials if trial.state == FINISHED} == {2}
    assert f"{TRIALS} of {TRIALS} trained" in out
    # Nothing of Ray's reaches the user.
    assert not [line for line in [*out.splitlines(), *err.splitlines()] if "ray" in line.lower().split()]
    assert "Traceback" not in err


@pytest.mark.slow
def test_no_network_over_the_budget_is_trained(on_cluster, workplace):
    record, _, _ = on_cluster
    over = [trial for trial in record.trials if trial.state == OVER_BUDGET]
    assert over
    assert all(trial.cost > MAX_MACS and trial.epochs == 0 and trial.run is None for trial in over)
    trained = sorted(path.name for path in (workplace / "runs" / "search-cluster" / "trials").glob("0*"))
    assert trained == [f"{trial.number:04d}" for trial in record.trials if trial.state == FINISHED]
    assert all(trial.cost <= MAX_MACS for trial in record.trials if trial.state == FINISHED)


@pytest.mark.slow
def test_a_killed_search_continues_with_the_results_of_an_uninterrupted_one(on_cluster, workplace, drawn_faces_file):
    folder = workplace / "runs" / "search-killed"
    arguments = ["tiny.toml", "--data", drawn_faces_file, "--name", "killed", "--trials", 4, "--cpus", 1, *START]
    with start(arguments, workplace) as search:
        wait_until(lambda: events(folder, "finished") and len(events(folder, "epoch")) % 2, process=search)
        search.send_signal(signal.SIGKILL)
    finished = {event["trial"] for event in events(folder, "finished")}
    with start(["--resume", "killed"], workplace) as resumed:
        _, err = resumed.communicate(timeout=DEADLINE_S)
    assert resumed.returncode == 0, err
    assert SearchFolder(folder).request()["scale"] == {"cpus": 1, "memory_per_trial": 1}
    ended = [event["trial"] for event in events(folder, "finished")]
    assert finished < set(ended)
    assert len(ended) == len(set(ended))
    killed, whole = read(folder), on_cluster[0]
    assert killed.count(FINISHED) == 4
    numbers = {trial.number for trial in killed.trials}
    assert results(killed) == {number: values for number, values in results(whole).items() if number in numbers}


@pytest.mark.slow
def test_sigterm_ends_a_search_and_its_processes(workplace, drawn_faces_file):
    folder = workplace / "runs" / "search-ended"
    arguments = ["tiny.toml", "--data", drawn_faces_file, "--name", "ended", "--trials", 4, "--cpus", 1, *START]
    with start(arguments, workplace) as search:
        wait_until(lambda: events(folder, "suggested"), process=search)
        search.terminate()
        _, err = search.communicate(timeout=DEADLINE_S)
    assert search.returncode == 128 + signal.SIGTERM
    assert "edgefer search --resume ended" in err
    wait_until(lambda: not processes(workplace))
    assert replay(SearchFolder(folder).events())


@pytest.mark.slow
def test_a_search_that_no_machine_can_run_is_not_started(workplace, drawn_faces_file):
    arguments = ["tiny.toml", "--data", drawn_faces_file, "--name", "wide", *START, "--cpus", 1, "--cpus-per-trial", 2]
    with start(arguments, workplace) as search:
        _, err = search.communicate(timeout=DEADLINE_S)
    assert (search.returncode, "the largest one has 1 CPUs, a trial needs 2" in err) == (2, True)
    # The same command may follow with fewer cores.
    assert not SearchFolder(workplace / "runs" / "search-wide").exists()
