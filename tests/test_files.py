import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer import files


def test_a_file_and_its_folders_are_written(tmp_path):
    path = tmp_path / "deep" / "er" / "file.txt"
    files.write_text(path, "whole")
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic_write(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_an_error_of_writing_names_the_file(tmp_path):
    path = tmp_path / "state.npz"
    with pytest.raises(OSError, match=r"No space left on device: '.*/state\.npz'"), files.atomic_write(path):
        os.write(os.open("/dev/full", os.O_WRONLY), b"x")


def test_the_name_does_not_exist_before_the_file_is_complete(tmp_path):
    path = tmp_path / "best.weights.h5"
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(b"x")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.name.endswith("best.weights.h5")
    assert path.exists()


@pytest.mark.parametrize("name", ["n" * 250 + ".json", "\u00e9" * 125 + ".npz"])
def test_the_longest_name_can_be_written(tmp_path, name):
    with files.atomic_write(tmp_path / name) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == Path(name).suffix
    assert (tmp_path / name).read_text() == "whole"


def test_temporary_files_of_killed_processes_are_removed(tmp_path):
    program = "import os, pathlib, edgefer.files\nwith edgefer.files.atomic_write(pathlib.Path('x')):\n    os._exit(9)"
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False)
    leftover = next(tmp_path.glob(".*-x"))
    (tmp_path / ".notes-x").touch()
    files.remove_leftovers(tmp_path / "x")
    assert leftover.exists(), "it may be a file of another host"
    os.utime(leftover, (1, 1))
    with files.atomic_write(tmp_path / "x") as temporary:
        os.utime(temporary, (1, 1))
        files.remove_leftovers(tmp_path / "x")
        assert temporary.exists()
    assert sorted(os.listdir(tmp_path)) == [".notes-x", "x"]
    files.remove_leftovers(tmp_path / "nowhere" / "x")


def test_opencv_gets_a_path_that_is_utf8(tmp_path):
    path = tmp_path / "caf\udce9.onnx"
    path.write_bytes(b"content")
    with files.utf8_path(path) as name:
        assert files.is_utf8(name)
        assert Path(name).suffix == ".onnx"
        assert Path(name).read_bytes() == b"content"
    assert not Path(name).exists()
    with files.utf8_path(tmp_path / "caf\u00e9.onnx") as name:
        assert name == str(tmp_path / "caf\u00e9.onnx")


def test_opencv_gets_a_path_that_is_not_an_address():
    with files.utf8_path(Path("2026-11-30T12:30.mp4")) as name:
        assert name == "./2026-11-30T12:30.mp4"


def test_text_with_a_name_that_is_not_utf8_can_be_written(tmp_path):
    files.write_text(tmp_path / "report.html", "caf\udce9")
    assert (tmp_path / "report.html").read_text() == "caf\\udce9"


def test_permissions_follow_the_umask(tmp_path):
    previous = os.umask(0o022)
    try:
        files.write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_file_can_be_private(tmp_path):
    files.write_text(tmp_path / "secret", "x", mode=0o600)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_link_is_replaced_in_one_step(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.link_to(tmp_path / "latest", name)
        assert (tmp_path / "latest").resolve() == tmp_path / name
    assert sorted(os.listdir(tmp_path)) == ["latest", "one", "two"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "link.json").symlink_to("results/today.json")
    files.write_text(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "results" / "today.json").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.write_text(tmp_path / "pipe", "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize(
    "path",
    [
        ".ipynb_checkpoints/0-checkpoint.jpg", ".Trash-1000/files/old.jpg", "@eaDir/a.jpg/SYNOFILE_THUMB_M.jpg",
        "__MACOSX/photos/._a.jpg", "._a.jpg", "Thumbs.db", "ehthumbs.db", ".AppleDouble/a.jpg", "lost+found/#123",
        "$RECYCLE.BIN/S-1-5-21/a.jpg", "$Recycle.Bin", "System Volume Information", "#recycle/a.jpg", "@Recycle/a.jpg",
        "happy/.@__thumb/defaulta.jpg", "RECYCLER", "FOUND.000/a.jpg", "Previews.lrdata/a.jpg", "a.jpg@SynoEAStream",
        ".DS_Store", ".thumbnails/a.png", "Icon\r", "LOST.DIR/1234", "Temporary Items/a.jpg",
    ],
)  # fmt: skip
def test_files_of_the_system_are_leftovers(path):
    assert files.is_filesystem_leftover(path)
    assert files.is_filesystem_leftover(Path(path))


@pytest.mark.parametrize(
    "path",
    ["a.jpg", "holidays/a.jpg", "../faces/a.jpg", "./a.jpg", "/data/a.jpg", "$5/a.jpg", "#1.jpg", "@home/a.jpg",
     "lost and found/a.jpg", "recycle/a.jpg", "trash/a.jpg", "found.00/a.jpg", "Thumbs/a.jpg", "__init__.jpg"],
)  # fmt: skip
def test_other_names_are_not_leftovers(path):
    assert not files.is_filesystem_leftover(path)


def test_a_walk_lists_files_in_order_and_follows_each_link_once(tmp_path):
    for name in ("b/c/2.jpg", "a.jpg", "b/.Trash-1000/x.jpg", ".hidden/y.jpg", "@eaDir/a.jpg/z.jpg"):
        files.write_bytes(tmp_path / "root" / name, b"")
    files.write_bytes(tmp_path / "elsewhere" / "3.jpg", b"")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "b" / "loop").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    walk = files.walk_files(tmp_path / "root")
    names = [path.relative_to(tmp_path / "root").as_posix() for path in walk.files]
    assert names == ["a.jpg", "b/c/2.jpg", "gone.jpg", "linked/3.jpg"]
    assert walk.unreadable == ()


def test_a_walk_does_not_leave_the_folder_by_a_link_to_one_around_it(tmp_path):
    for name in ("root/happy/1.jpg", "root/sad/2.jpg"):
        files.write_bytes(tmp_path / name, b"")
    (tmp_path / "root" / "happy" / "up").symlink_to("..")
    (tmp_path / "root" / "happy" / "far").symlink_to(tmp_path)
    (tmp_path / "root" / "happy" / "beside").symlink_to("../sad")
    for folder in (tmp_path / "root" / "happy", tmp_path / "root" / "happy" / "far" / "root" / "happy"):
        names = [path.relative_to(folder).as_posix() for path in files.walk_files(folder).files]
        assert names == ["1.jpg", "beside/2.jpg"]


def test_the_folder_that_is_named_may_be_hidden(tmp_path):
    files.write_bytes(tmp_path / ".faces" / "a.jpg", b"")
    assert files.walk_files(tmp_path / ".faces").files == (tmp_path / ".faces" / "a.jpg",)


@pytest.mark.usefixtures("locked_folders")
def test_a_folder_that_cannot_be_listed_is_reported(tmp_path):
    files.write_bytes(tmp_path / "locked" / "a.jpg", b"")
    files.write_bytes(tmp_path / "open" / "b.jpg", b"")
    walk = files.walk_files(tmp_path)
    assert walk.files == (tmp_path / "open" / "b.jpg",)
    ((folder, error),) = walk.unreadable
    assert folder == tmp_path / "locked"
    assert error.strerror == "Permission denied"


def test_the_umask_of_the_process_is_never_changed(tmp_path, monkeypatch):
    changes = []
    # Another thread that creates a file meanwhile would get other permissions, so even a brief change counts.
    monkeypatch.setattr(os, "umask", changes.append)
    files.write_bytes(tmp_path / "file", b"")
    assert changes == []
