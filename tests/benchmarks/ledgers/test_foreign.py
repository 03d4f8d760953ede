"""benchmarks/ledgers/foreign.py: imported networks as a table."""

import pytest
from ledgers.foreign import COMMANDS, TRAINED_HERE, Int8Model, networks_table, read_networks

from edgefer.errors import DataError
from edgefer.results import schema

ENTRY = {
    "name": "net",
    "what": "a net | of somebody",
    "source": "a package (MIT)",
    "input": "gray 64x64, -1..1",
    "n": 1000,
    "float_correct": 655,
    "plain": {"correct": 640, "bytes": 2048, "p50_us": 100.4},
    "edgefer": {"correct": 652, "bytes": 1024, "p50_us": 90.6},
    "mcnemar_p": 0.0123,
    "commands": {"import": 0, "quantize": 0, "live": 2},
}
TFLITE = {**ENTRY, "plain": None, "mcnemar_p": None}


def record(*entries):
    return {**schema.header("bring_your_own", 1), "networks": list(entries)}


def test_table_has_accuracies_with_intervals_sizes_and_commands():
    text = networks_table(read_networks(record(ENTRY))).markdown()
    row = next(line for line in text.splitlines() if "MIT" in line)
    for cell in ("gray 64x64, -1..1", "65.5 (62.5-68.4)", "64.0 (", "65.2 (", "0.012", "2, 1", "100, 91"):
        assert cell in row
    assert "import, quantize, live: exit 2" in row
    assert r"a net \| of somebody" in row


def test_tflite_has_no_int8_columns():
    (network,) = read_networks(record(TFLITE))
    assert network.plain is None
    assert network.edgefer == Int8Model(652, 1024, 90.6)
    row = next(line for line in networks_table([network]).markdown().splitlines() if "MIT" in line)
    assert "-, 1" in row
    assert "65.2" not in row


@pytest.mark.parametrize(
    "change",
    [{"n": "many"}, {"float_correct": 1001}, {"edgefer": None}, {"edgefer": {"correct": 1}}, {"commands": []}],
)
def test_damaged_entry_is_refused(change):
    with pytest.raises(DataError):
        read_networks(record({**ENTRY, **change}))


def test_record_of_another_kind_is_refused():
    with pytest.raises(DataError):
        read_networks({**record(ENTRY), "kind": "peers"})


def test_input_that_was_given_is_marked():
    (network,) = read_networks(record({**ENTRY, "refused": "the input cannot be found"}))
    assert network.described_input == "gray 64x64, -1..1 (given)"
    assert "given: the import refused" in networks_table([network]).markdown()
    assert "given:" not in networks_table(read_networks(record(ENTRY))).markdown()


@pytest.mark.parametrize(
    ("entry", "codes", "cell"),
    [
        (ENTRY, dict.fromkeys(COMMANDS, 0), "all"), (TFLITE, dict.fromkeys({*COMMANDS} - {"quantize"}, 0), "all"),
        (ENTRY, {"import": 0, "quantize": 0}, "import, quantize"),
        (TFLITE, {"import": 0, "live": 1}, "import, live: exit 1"),
    ],
)  # fmt: skip
def test_all_stands_for_every_command_of_the_kind_of_file(entry, codes, cell):
    text = networks_table(read_networks(record({**entry, "commands": codes, "source": TRAINED_HERE}))).markdown()
    row = next(line for line in text.splitlines() if "somebody" in line)
    assert row.endswith(f"| {cell} |")
    assert TRAINED_HERE not in row


def test_a_tiny_p_is_rounded():
    assert "| under 0.001 |" in networks_table(read_networks(record({**ENTRY, "mcnemar_p": 1e-117}))).markdown()
