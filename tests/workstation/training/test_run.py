import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer.errors import DataError
from edgefer.workstation.training.run import Run, find_run, new_run
from edgefer.workstation.training.settings import TrainSettings

HOLD_LOCK = """
import sys
from pathlib import Path
from edgefer.workstation.training.run import Run
with Run(Path(sys.argv[1])).only_trainer():
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(finished_run, tmp_path):
    return Run(Path(shutil.copytree(finished_run.folder, tmp_path / "run")))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("settings.toml", Run.settings),
        ("environment.json", Run.environment),
        ("metrics.json", Run.metrics),
        ("history.csv", Run.history),
    ],
)
@pytest.mark.parametrize(
    "content",
    [b"{", b"a,b\n1,2\n", b"\xff\xfe", b"x" * 200_000, b"x = " + b"[" * 100_000],
    ids=["cut", "other", "binary", "long", "deep"],
)
def test_a_damaged_file_is_named(run, name, read, content):
    (run.folder / name).write_bytes(content)
    with pytest.raises(DataError, match=name) as caught:
        read(run)
    assert caught.value.hint


def test_unknown_settings_in_a_run_name_the_file(run):
    path = run.folder / "settings.toml"
    path.write_text("epochz = 3\n" + path.read_text())
    with pytest.raises(DataError, match=r"settings\.toml: unknown setting epochz"):
        run.settings()


def test_a_run_without_an_environment_is_named(tmp_path):
    run = new_run(tmp_path, TrainSettings())
    with pytest.raises(DataError, match=r"environment\.json"):
        run.environment()


def test_a_dangling_latest_link_is_an_error(tmp_path):
    first, second = (new_run(tmp_path, TrainSettings(system=name)) for name in ("first", "second"))
    assert find_run(None, root=tmp_path).settings().system == "second"
    shutil.rmtree(second.folder)
    with pytest.raises(DataError, match="latest is a dangling link: .*second"):
        find_run(None, root=tmp_path)
    assert find_run(first.folder, root=tmp_path) == first


def test_commands_in_hints_quote_the_name_of_a_run(tmp_path):
    run = new_run(tmp_path, TrainSettings(), folder=tmp_path / "my run")
    with pytest.raises(DataError, match="no checkpoint in") as caught:
        run.require_weights()
    assert caught.value.hint == f"edgefer train --resume '{run.folder}'"
    with pytest.raises(DataError, match="already contains a run") as caught:
        new_run(tmp_path, TrainSettings(), folder=run.folder)
    assert caught.value.hint == f"edgefer train --resume '{run.folder}'"


def test_a_moved_run_is_the_same_run(run, finished_run, tmp_path):
    moved = Run(run.folder.rename(tmp_path / "elsewhere"))
    assert moved.subject == finished_run.subject
    assert moved.opened_with() == finished_run.opened_with()


def test_a_file_in_place_of_the_run_folder_is_an_error(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match="taken is a file"):
        new_run(tmp_path, TrainSettings(), folder=tmp_path / "taken")


def test_a_folder_becomes_a_run_after_its_other_files(tmp_path):
    def interrupted(run):
        run.save_json("environment.json", {})
        raise KeyboardInterrupt

    folder = tmp_path / "mine"
    with pytest.raises(KeyboardInterrupt):
        new_run(tmp_path, TrainSettings(), folder=folder, prepare=interrupted)
    with pytest.raises(DataError, match="mine is not a run"):
        find_run(folder, root=tmp_path)
    assert not (tmp_path / "latest").is_symlink()
    run = new_run(tmp_path, TrainSettings(), folder=folder, prepare=lambda run: run.save_json("environment.json", {}))
    assert find_run(None, root=tmp_path).settings() == run.settings()


def test_a_system_name_with_slashes_stays_inside_the_folder(tmp_path):
    run = new_run(tmp_path, TrainSettings(system="../a/b"))
    assert run.folder.parent == tmp_path
    assert run.artifact("int8").parent == run.folder


def test_a_run_folder_is_locked_while_a_process_trains(run):
    command = [sys.executable, "-c", HOLD_LOCK, str(run.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(DataError, match="another process is training"), run.only_trainer():
            pass
        other.kill()
        other.wait()
        with run.only_trainer():
            pass


def test_only_temporary_files_of_a_killed_training_are_deleted(run):
    for name in ("state.npz", "best.weights.h5", "history.csv", "metrics.json", "curves.png"):
        (run.folder / f".123_abcdefgh-{name}").touch()
    unrelated = [".gitignore", ".abcdefgh-demo-int8.tflite"]
    for name in unrelated:
        (run.folder / name).touch()
    (run.folder / ".cache").mkdir()
    with run.only_trainer():
        hidden = [name for name in os.listdir(run.folder) if name.startswith(".")]
    assert sorted(hidden) == sorted([*unrelated, ".cache"])


def test_latest_that_a_copy_turned_into_a_folder_is_kept(tmp_path):
    (tmp_path / "latest").mkdir(parents=True)
    (tmp_path / "latest" / "settings.toml").touch()
    with pytest.raises(DataError, match="latest is not a link") as caught:
        new_run(tmp_path, TrainSettings())
    assert caught.value.hint.startswith("mv ")
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]
