from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer.errors import DataError, UsageError
from edgefer.fleet.registry import Device, Limits, Registry

TEXT = """\
# boards in the lab
[pi4]
address = "pi@raspberrypi.local"  # second shelf
tags = ["lab", "quiet"]
threads = [1, 4]

[pi4.limits]
p90_us = 900

[nano]
address = "nano"
runtime = "tflite_runtime"
tags = ["lab"]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "devices.toml").write_text(TEXT)
    return tmp_path / "devices.toml"


def test_file_is_parsed_to_devices(path: Path) -> None:
    registry = Registry.read(path)
    assert registry.devices["pi4"] == Device(
        "pi4", "pi@raspberrypi.local", threads=(1, 4), tags=("lab", "quiet"), limits=Limits(p90_us=900)
    )
    assert registry.devices["nano"].runtime == "tflite_runtime"


def test_file_is_utf_8_in_every_locale_and_may_have_a_byte_order_mark(path: Path) -> None:
    path.write_bytes(f"\ufeff# K\u00fcche\n{TEXT}".encode())
    program = "import pathlib, sys; from edgefer.fleet.registry import Registry; "
    program += "Registry.read(pathlib.Path(sys.argv[1]))"
    variables = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], env=variables, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_select_by_name_address_and_tag(path: Path) -> None:
    registry = Registry.read(path)
    names = ["nano", "pi@10.0.0.7", "local"]
    assert [device.name for device in registry.select(names)] == names
    assert registry.select(["local"])[0].kind == "local"
    assert [device.name for device in registry.select(["pi4"], tag="lab")] == ["pi4", "nano"]


@pytest.mark.parametrize(
    ("names", "tag", "message"), [(["pi5"], None, "local, pi4, nano"), ([], "field", "lab, quiet")]
)
def test_unknown_device_or_tag_lists_the_known_ones(
    path: Path, names: list[str], tag: str | None, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Registry.read(path).select(names, tag=tag)
    assert message in caught.value.why


@pytest.mark.parametrize(("name", "shown"), [("pi5", "pi5"), ("my board", "NAME"), ("", "NAME")])
def test_the_hint_for_an_unknown_device_is_a_command_that_works(path: Path, name: str, shown: str) -> None:
    with pytest.raises(UsageError) as caught:
        Registry.read(path).select([name])
    assert caught.value.hint == f"edgefer devices add {shown} USER@HOST"


def test_adding_a_device_keeps_the_text_of_the_user(path: Path) -> None:
    registry = Registry.read(path)
    registry.with_device(Device("zero", "pi@zero", facts={"cores": 4})).save()
    text = path.read_text()
    assert text.startswith(TEXT)
    again = Registry.read(path)
    assert list(again.devices) == ["pi4", "nano", "zero"]
    assert again.devices["zero"].facts == {"cores": 4}


def test_changing_a_device_keeps_comments(path: Path) -> None:
    registry = Registry.read(path)
    changed = Device("pi4", "pi@raspberrypi.local", python="/opt/python", tags=("lab", "quiet"), threads=(1, 4))
    registry.with_device(changed).save()
    assert "# second shelf" in path.read_text()
    assert Registry.read(path).devices["pi4"] == changed


def test_removing_a_device(path: Path) -> None:
    Registry.read(path).without("pi4").save()
    assert list(Registry.read(path).devices) == ["nano"]
    with pytest.raises(UsageError, match="no device 'pi4'"):
        Registry.read(path).without("pi4")


def test_missing_file_is_empty_and_created_by_save(tmp_path: Path) -> None:
    registry = Registry.read(tmp_path / "none.toml")
    assert registry.devices == {}
    registry.with_device(Device("pi4", "pi@pi4")).save()
    assert Registry.read(tmp_path / "none.toml").devices["pi4"].address == "pi@pi4"


@pytest.mark.parametrize("name", ["", "local", "emulated", "two words", "../up", "-o"])
def test_invalid_names_are_refused(path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="invalid device name"):
        Registry.read(path).with_device(Device(name, "x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[pi4\n", "line 1"),
        ("pi4 = 3\n", "expected a table"),
        ("[pi4]\nadress = 'x'\n", "'adress'"),
        ("[pi4]\naddress = 7\n", "address = 7"),
        ("[pi4]\nthreads = [0]\n", "threads = [0]"),
        ("[pi4]\nthreads = ['two']\n", "threads"),
        ("[pi4]\nthreads = [true]\n", "threads = [True]"),
        ("[pi4]\ntags = [1]\n", "tags"),
        ("[pi4.limits]\np90 = 3\n", "'p90'"),
        ("[pi4.limits]\np90_us = true\n", "p90_us"),
        ("[pi4.limits]\np90_us = nan\n", "limits of pi4.p90_us is nan"),
        ("[pi4.facts]\ncores = [inf]\n", "facts of pi4.cores[0] is inf"),
        ("[pi4.facts]\nboard = 1979-05-27\n", "facts of pi4.board"),
    ],
)
def test_invalid_file_is_reported_with_its_path_and_fault(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        Registry.read(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_long_value_is_shortened_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(f"[pi4]\nlimits = '{'x' * 10_000}'\n")
    with pytest.raises(DataError) as caught:
        Registry.read(path)
    assert len(caught.value.what) < 200


def test_default_path_is_the_working_folder_then_the_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EDGEFER_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert Registry.read().path == tmp_path / "config/edgefer/devices.toml"
    Path("devices.toml").write_text(TEXT)
    assert list(Registry.read().devices) == ["pi4", "nano"]
    monkeypatch.setenv("EDGEFER_DEVICES", str(tmp_path / "other.toml"))
    assert Registry.read().path == tmp_path / "other.toml"


def test_limits_are_parsed_from_assignments() -> None:
    assert Limits.parse(["p90_us=2000", "temperature_c=70.5"]) == Limits(p90_us=2000.0, temperature_c=70.5)
    for assignment in ("p90=1", "p90_us", "p90_us=fast", "p90_us=-1"):
        with pytest.raises(UsageError, match=f"--limit {assignment}"):
            Limits.parse([assignment])
    with pytest.raises(UsageError, match="a finite number"):
        Limits.parse([f"p90_us={'9' * 400}"])
