import resource
import sys

import pytest


@pytest.fixture(autouse=True)
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEFER_DEVICES", str(tmp_path / "devices.toml"))
    return tmp_path / "devices.toml"


def test_a_board_is_added_listed_and_removed(edgefer):
    options = ("--threads", "1,4,4", "--limit", "p90_us=2000", "--tag", "lab")
    added = edgefer("devices", "add", "pi4", "pi@board", *options)
    assert added.code == 0, added.err
    assert "next: edgefer devices probe pi4" in added.out
    listed = edgefer("devices", "list", "--json").record
    assert (listed["kind"], list(listed["devices"])) == ("devices", ["pi4"])
    assert listed["devices"]["pi4"]["threads"] == [1, 4]
    assert "pi@board" in edgefer("devices", "list").out
    assert edgefer("devices", "remove", "pi4").code == 0
    assert "has no devices" in edgefer("devices", "list").out


def test_a_probe_of_this_machine_lists_its_runtimes_and_is_not_registered(edgefer):
    outcome = edgefer("devices", "probe", "local", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.record["found"]["interpreters"]
    assert edgefer("devices", "list", "--json").record["devices"] == {}


def test_a_probe_is_printed_even_if_it_cannot_be_stored(edgefer, registry):
    registry.write_text(f'[here]\nkind = "local"\npython = "{sys.executable}"\n')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The limit has the effect of a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        outcome = edgefer("devices", "probe", "here", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.code == 7
    assert outcome.record["found"]["interpreters"]
    assert "the result was printed but not written" in outcome.err
    assert edgefer("devices", "probe", "here").code == 0
    assert edgefer("devices", "list", "--json").record["devices"]["here"]["facts"]["cores"] >= 1


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["add", "pi4", "pi@board", "--threads", "0"], 2, "--threads 1,2,4"),
        (["add", "pi4", "pi@board", "--limit", "p90=1"], 2, "p90_us"),
        (["remove", "pi4"], 2, "edgefer devices list"),
    ],
)
def test_invalid_arguments_get_a_hint(refused, arguments, code, named):
    assert named in refused("devices", *arguments, code=code)
