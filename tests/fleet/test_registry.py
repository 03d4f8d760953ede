from __future__ import annotations

from pathlib import Path

import pytest

from edgefer.errors import DataError, UsageError
from edgefer.fleet.registry import Device, Limits, Registry

TEXT = """\
# the shelf
[pi4]
address = "pi@raspberrypi.local"  # behind the door
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


def test_a_file_comes_to_devices(path: Path) -> None:
    registry = Registry.read(path)
    assert registry.devices["pi4"] == Device(
        "pi4", "pi@raspberrypi.local", threads=(1, 4), tags=("lab", "quiet"), limits=Limits(p90_us=900)
    )
    assert registry.devices["nano"].runtime == "tflite_runtime"


def test_names_addresses_this_machine_and_tags(path: Path) -> None:
    registry = Registry.read(path)
    assert [each.name for each in registry.select(["nano", "pi@10.0.0.7", "local"])] == ["nano", "pi@10.0.0.7", "local"]
    assert registry.select(["local"])[0].kind == "local"
    assert [each.name for each in registry.select(["pi4"], tag="lab")] == ["pi4", "nano"]


@pytest.mark.parametrize(("names", "tag", "said"), [(["pi5"], None, "local, pi4, nano"), ([], "field", "lab, quiet")])
def test_what_is_not_there_is_told_with_what_is(path: Path, names: list[str], tag: str | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Registry.read(path).select(names, tag=tag)
    assert said in caught.value.why


def test_entering_a_device_leaves_the_users_words(path: Path) -> None:
    registry = Registry.read(path)
    registry.with_device(Device("zero", "pi@zero", facts={"cores": 4})).save()
    text = path.read_text()
    assert text.startswith(TEXT)
    again = Registry.read(path)
    assert list(again.devices) == ["pi4", "nano", "zero"]
    assert again.devices["zero"].facts == {"cores": 4}


def test_changing_a_device_leaves_what_did_not_change(path: Path) -> None:
    registry = Registry.read(path)
    changed = Device("pi4", "pi@raspberrypi.local", python="/opt/python", tags=("lab", "quiet"), threads=(1, 4))
    registry.with_device(changed).save()
    assert "# behind the door" in path.read_text()
    assert Registry.read(path).devices["pi4"] == changed


def test_taking_a_device_out(path: Path) -> None:
    Registry.read(path).without("pi4").save()
    assert list(Registry.read(path).devices) == ["nano"]
    with pytest.raises(UsageError, match="no device 'pi4'"):
        Registry.read(path).without("pi4")


def test_without_a_file_there_are_no_devices_and_one_is_made(tmp_path: Path) -> None:
    registry = Registry.read(tmp_path / "none.toml")
    assert registry.devices == {}
    registry.with_device(Device("pi4", "pi@pi4")).save()
    assert Registry.read(tmp_path / "none.toml").devices["pi4"].address == "pi@pi4"


@pytest.mark.parametrize("name", ["", "local", "two words", "../up", "-o"])
def test_names_that_cannot_be(path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a device's name"):
        Registry.read(path).with_device(Device(name, "x"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pi4\n", "line 1"),
        ("pi4 = 3\n", "a table was expected"),
        ("[pi4]\nadress = 'x'\n", "'adress'"),
        ("[pi4]\naddress = 7\n", "address = 7"),
        ("[pi4]\nthreads = [0]\n", "threads = [0]"),
        ("[pi4]\nthreads = ['two']\n", "threads"),
        ("[pi4]\ntags = [1]\n", "tags"),
        ("[pi4.limits]\np90 = 3\n", "'p90'"),
        ("[pi4.limits]\np90_us = true\n", "p90_us"),
    ],
)
def test_damaged_files_are_named_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        Registry.read(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_file_is_looked_for_here_then_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EDGEFER_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert Registry.read().path == tmp_path / "config/edgefer/devices.toml"
    Path("devices.toml").write_text(TEXT)
    assert list(Registry.read().devices) == ["pi4", "nano"]
    monkeypatch.setenv("EDGEFER_DEVICES", str(tmp_path / "other.toml"))
    assert Registry.read().path == tmp_path / "other.toml"


def test_limits_are_read_from_words() -> None:
    assert Limits.parse(["p90_us=2000", "temperature_c=70.5"]) == Limits(p90_us=2000.0, temperature_c=70.5)
    for word in ("p90=1", "p90_us", "p90_us=fast", "p90_us=-1"):
        with pytest.raises(UsageError, match=f"--limit {word}"):
            Limits.parse([word])
