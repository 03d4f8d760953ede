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


def test_adding_a_board_again_changes_only_the_given_values(edgefer, registry):
    options = ("--runtime", "litert", "--threads", "1,4", "--tag", "lab", "--limit", "p90_us=2000")
    edgefer("devices", "add", "pi4", "pi@board", *options)
    before = edgefer("devices", "list", "--json").record["devices"]["pi4"]
    changed = edgefer("devices", "add", "pi4", "pi@board", "--python", "/opt/python3.11")
    assert changed.out.splitlines()[0] == "pi4 changed: python"
    assert edgefer("devices", "list", "--json").record["devices"]["pi4"] == {**before, "python": "/opt/python3.11"}
    more = ("--tag", "field", "--tag", "lab", "--limit", "rss_mib=80")
    assert "pi4 changed: address, limits, tags" in edgefer("devices", "add", "pi4", "pi@other", *more).out
    device = edgefer("devices", "list", "--json").record["devices"]["pi4"]
    assert (device["address"], device["runtime"], device["tags"]) == ("pi@other", "litert", ["lab", "field"])
    assert device["limits"] == {"p90_us": 2000.0, "rss_mib": 80.0}
    assert "pi4 not changed" in edgefer("devices", "add", "pi4", "pi@other").out


def test_an_invalid_address_is_printed_with_the_forms_that_are_accepted(refused):
    message = refused("devices", "add", "pi4", "pi@h -oX", code=2)
    assert "user@[IPv6]:port or ssh://user@host:port" in message
    assert "--device" not in message
    assert "'ssh://pi@board:0'" in refused("devices", "add", "pi4", "ssh://pi@board:0", code=2)
    assert "hunter2" not in refused("devices", "add", "pi4", "ssh://pi:hunter2@bo ard", code=2)


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
        (["add", "pi4", "pi@board", "--limit", f"p90_us={'9' * 400}"], 2, "a finite number"),
        (["add", "pi4", "pi@board", "--runtime", "nonsense"], 2, "litert, tflite_runtime"),
        (["setup", "pi@127.0.0.1:9", "--runtime", "nonsense"], 2, "litert, tflite_runtime"),
        (["setup", "pi@127.0.0.1:9", "--wheels", "nowhere"], 1, "nowhere has no wheels"),
        (["add", "pi4", "pi@board", "--tag", ""], 2, "--tag lab"),
        (["remove", "pi4"], 2, "edgefer devices list"),
    ],
)
def test_invalid_arguments_get_a_hint(refused, arguments, code, named):
    assert named in refused("devices", *arguments, code=code)
