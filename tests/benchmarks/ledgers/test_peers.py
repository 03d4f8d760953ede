from xml.etree import ElementTree

import pytest
from ledgers.peers import peer_rows, peers_table, read_peers
from ledgers.peers_plot import peers_svg

from edgefer.errors import DataError
from edgefer.results import schema

HASHES = ("a" * 64, "b" * 64)


def entry(name="their net", /, **changes):
    return {
        "name": name, "what": "an Xception", "source": "https://example.org/net", "bytes": 51_200,
        "public_percent": 65.8, "private_percent": 67.0, "mmacs": 14.25, "p50_us": 234, "measured_here": True,
        "note": "", **changes,
    }  # fmt: skip


def record(*entries):
    return {**schema.header("peers", 1), "peers": list(entries)}


def table(*entries, measurements=(), **results):
    peers = read_peers(record(*entries))
    return peers_table(peers, peer_rows(peers, measurements=measurements, **results), measurements=measurements)


def rows(*entries, **results):
    lines = table(*entries, **results).markdown().splitlines()
    return [line for line in lines if line.startswith("|")][2:]


def test_shipped_models_are_sorted_among_the_others_by_size(evaluated, measured):
    scored = [
        evaluated("a" * 64, n=3589, right=2400, file="small-int8.tflite", file_bytes=20_480),
        evaluated("a" * 64, n=3589, right=2500, split="PrivateTest", file="small-int8.tflite", file_bytes=20_480),
        evaluated("b" * 64, scheme="float32", file="small-float32.tflite", file_bytes=81_920),
        evaluated("c" * 64, scheme="keras"),
    ]
    timed = [measured("a" * 64, threads=4, p50_us=50), measured("a" * 64, p50_us=100)]
    small, large = entry("small one", bytes=10_240), entry("of no size", bytes=None, mmacs=None)
    assert rows(large, entry(), small, evaluations=scored, measurements=timed) == [
        "| [small one](https://example.org/net) | 10 | 65.8 (64.2-67.3) | 67.0 | 14.2 | 234 |",
        "| **small-int8** | 20 | 66.9 (65.3-68.4) | 69.7 | - | 100 |",
        "| [their net](https://example.org/net) | 50 | 65.8 (64.2-67.3) | 67.0 | 14.2 | 234 |",
        "| [of no size](https://example.org/net) | - | 65.8 (64.2-67.3) | 67.0 | - | 234 |",
    ]


def test_a_reported_number_is_marked_and_has_no_interval():
    reported = table(entry("x", source="a paper", measured_here=False, note="on 64 pixels."))
    assert reported.markdown().splitlines()[2] == "| x † | 50 | 65.8 | 67.0 | 14.2 | 234 |"
    assert "†: measured earlier or published" in reported.legend
    assert "x: on 64 pixels." in reported.legend
    assert "†" not in table(entry()).legend


def test_instructions_get_a_column_where_some_were_counted(evaluated):
    own = [evaluated(sha256, n=3589, right=2400, file=f"{sha256[0]}.tflite", file_bytes=9_000) for sha256 in HASHES]
    counted = {HASHES[0]: {"Pi 3": 14_004_782, "Pi 4": 10_726_750, "Pi 5": 4_251_554}}
    lines = rows(entry(), entry("on one board", pi4_minstructions=6.34), evaluations=own, instructions=counted)
    assert [row.split("|")[-2].strip() for row in lines] == ["10.7 / 4.3", "-", "6.3 / -", "-"]
    assert "M instructions" not in table(entry()).markdown()
    with pytest.raises(DataError, match="above 0"):
        read_peers(record(entry(pi5_minstructions=-1)))


def test_a_peer_without_numbers_is_in_the_legend_only():
    unknown = dict.fromkeys(("bytes", "public_percent", "private_percent", "mmacs", "p50_us"))
    published = entry("a paper's net", measured_here=False, note="71 % of some split", **unknown)
    assert len(rows(entry(), published)) == 1
    assert "a paper's net: 71 % of some split." in table(entry(), published).legend


def test_the_table_fits_a_terminal_and_marks_shipped_models(evaluated):
    own = evaluated("a" * 64, n=3589, right=2400, file="compact_small-int8.tflite", file_bytes=20_480)
    text = table(entry("a net with a long name of its own"), evaluations=[own]).text()
    assert max(map(len, text.splitlines())) <= 80
    assert "* compact_small-int8" in text


@pytest.mark.parametrize(
    "source", ["javascript:alert(1)", "https://x) <img src=x>", "http://example.org", "https://x|y", ""]
)  # fmt: skip
def test_only_a_plain_https_address_becomes_a_link(source):
    (row,) = rows(entry("<b>|*x*[y](z)", source=source))
    assert row.startswith("| &lt;b>\\|\\*x\\*\\[y\\](z) | ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"public_percent": 658}, "up to 100"), ({"bytes": 0}, "above 0"),
        ({"measured_here": 1}, "'measured_here' is int"),
        ({"source": None}, "'source' is NoneType"), ({"p50_us": "fast"}, "'p50_us' is str"),
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_field_names_its_peer(changes, message):
    with pytest.raises(DataError) as caught:
        read_peers(record(entry("fine"), entry("odd", **changes)))
    assert "peer 'odd'" in str(caught.value)
    assert message in str(caught.value)


def test_the_plot_has_a_named_mark_with_its_interval_for_each_model_with_instructions(evaluated):
    own = evaluated(HASHES[0], n=3589, right=2400, file="nano-int8.tflite", file_bytes=9_000)
    counted = {HASHES[0]: {"Pi 4": 6_000_000}}
    entries = [
        entry("measured", pi4_minstructions=12.0),
        entry("reported", pi4_minstructions=24.0, measured_here=False),
        entry("not counted"),
        entry("not evaluated", public_percent=None, pi4_minstructions=3.0),
    ]
    models = peer_rows(read_peers(record(*entries)), evaluations=[own], instructions=counted)
    drawing = ElementTree.fromstring(peers_svg(models))
    names = {text.text: float(text.get("x")) for text in drawing.iter() if text.get("class") == "name"}
    assert sorted(names, key=names.get) == ["nano-int8", "measured", "reported"]
    (own_mark,) = [mark[0].text for mark in drawing.iter() if mark.get("class") == "ships"]
    assert own_mark == "nano-int8, ships with edgefer: 66.87 %, 6.0 M instructions"
    assert len([line for line in drawing.iter() if line.get("class") == "interval"]) == 2


def test_a_plot_without_instructions_says_so():
    assert "no model with instructions" in peers_svg(peer_rows(read_peers(record(entry()))))
