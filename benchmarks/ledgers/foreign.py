"""Imported networks: how each is fed, and its int8 models by edgefer and by TensorFlow's converter.

    networks = read_networks(fields)                # from benchmarks/bring_your_own.py
    networks_table(networks)

A record has ``kind`` "bring_your_own", ``schema_version`` 1, and ``networks``: one object per network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError
from edgefer.escaping import escape_markdown
from edgefer.report.tables import Table
from edgefer.results import schema
from edgefer.results.evaluation import Accuracy
from ledgers.entries import require

__all__ = ["Int8Model", "Network", "networks_table", "read_networks"]

KIND = "bring_your_own"
SCHEMA_VERSION = 1
TRAINED_HERE = "trained by benchmarks/bring_your_own.py"
COMMANDS = ("import", "quantize", "evaluate", "bench", "verify", "predict", "live", "inspect")
HEADERS = (
    "network", "input", "float, %", "plain int8, %", "edgefer int8, %", "p", "int8 KiB: plain, edgefer",
    "p50, us: plain, edgefer", "commands",
)  # fmt: skip
LEGEND = (
    "PublicTest of FER2013 with 95 % intervals; a network for three classes is scored on these, and the one for eight "
    "on the labels of FER+. "
    "plain: TFLiteConverter with Optimize.DEFAULT and int8 input and output, calibrated with the same faces. "
    "p: McNemar's test of the two int8 models. p50: of the model alone, one thread, in turns. "
    "A .tflite is copied with a contract and not converted; float is its own accuracy. Networks without an origin were "
    f"{TRAINED_HERE}. commands: those that succeeded; all are {', '.join(COMMANDS)}, without quantize for a .tflite."
)
GIVEN = " given: the import refused to choose an input of this briefly trained network, so --input named it."


@dataclass(frozen=True)
class Int8Model:
    """One int8 model of a network.

    Attributes:
        correct: number of test faces with the correct label.
        size_bytes: size of the flatbuffer.
        p50_us: latency of an inference.
    """

    correct: int
    size_bytes: int
    p50_us: float

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Int8Model:
        """Read one model of an entry.

        Raises:
            DataError: a field is missing or invalid.
        """
        require(fields, correct=int, bytes=int, p50_us=(int, float))
        return cls(fields["correct"], fields["bytes"], fields["p50_us"])


@dataclass(frozen=True)
class Network:
    """An imported network.

    Attributes:
        name: name of the network or of its file.
        what: short description.
        source: origin of the file.
        described_input: input that the import found, or that was given.
        is_given: True if the input was given because the import refused to choose.
        n: number of test faces.
        float_correct: number of test faces that the imported float network classifies correctly.
        plain: int8 model of TensorFlow's converter; None if the file is a .tflite.
        edgefer: int8 model of edgefer, or the .tflite itself.
        p_value: McNemar's test of the two, or None.
        commands: exit code by command.
    """

    name: str
    what: str
    source: str
    described_input: str
    is_given: bool
    n: int
    float_correct: int
    plain: Int8Model | None
    edgefer: Int8Model
    p_value: float | None
    commands: Mapping[str, int]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Network:
        """Read one entry.

        Raises:
            DataError: a field is missing or invalid.
        """
        require(
            fields, name=str, what=str, source=str, input=str, n=int, float_correct=int, edgefer=dict,
            plain=(dict, type(None)), mcnemar_p=(int, float, type(None)), commands=dict,
        )  # fmt: skip
        plain, edgefer = (fields[key] and Int8Model.from_json(fields[key]) for key in ("plain", "edgefer"))
        counts = [fields["float_correct"], edgefer.correct, plain.correct if plain else 0]
        if not all(0 <= count <= fields["n"] for count in counts):
            raise DataError(f"network {fields['name']!r}: {max(counts)} correct of {fields['n']}")
        return cls(
            name=fields["name"],
            what=fields["what"],
            source=fields["source"],
            described_input=fields["input"] + (" (given)" if fields.get("refused") else ""),
            is_given=bool(fields.get("refused")),
            n=fields["n"],
            float_correct=fields["float_correct"],
            plain=plain,
            edgefer=edgefer,
            p_value=fields["mcnemar_p"],
            commands=fields["commands"],
        )


def read_networks(fields: Mapping[str, Any]) -> tuple[Network, ...]:
    """Read a record of kind "bring_your_own".

    Raises:
        DataError: the record has another kind, or an entry is invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(fields, networks=list)
    return tuple(Network.from_json(entry) for entry in fields["networks"])


def networks_table(networks: Sequence[Network]) -> Table:
    """Tabulate networks, one row each, in the order of the record."""
    rows = [
        [
            escape_markdown(network.what if network.source == TRAINED_HERE else f"{network.what} ({network.source})"),
            escape_markdown(network.described_input),
            _percent(network.float_correct, network.n),
            None if network.plain is None else _percent(network.plain.correct, network.n),
            None if network.plain is None else _percent(network.edgefer.correct, network.n),
            None if network.p_value is None else "under 0.001" if network.p_value < 0.001 else f"{network.p_value:.2g}",
            _both(network, "size_bytes", 1 / 1024),
            _both(network, "p50_us", 1.0),
            _commands(network),
        ]
        for network in networks
    ]
    legend = LEGEND + (GIVEN if any(network.is_given for network in networks) else "")
    return Table(HEADERS, rows, legend, text_columns=2, is_markdown=True)


def _percent(correct: int, n: int) -> str:
    accuracy = Accuracy(correct, n)
    low, high = accuracy.interval or (0.0, 0.0)
    return f"{100 * correct / n:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _both(network: Network, field: str, factor: float) -> str:
    models = [network.plain, network.edgefer]
    return ", ".join("-" if model is None else f"{getattr(model, field) * factor:,.0f}" for model in models)


def _commands(network: Network) -> str:
    """Return "all" if every command succeeded; otherwise name those that did, and the others with their exit code."""
    codes = network.commands
    expected = [name for name in COMMANDS if name != "quantize" or network.plain is not None]
    if not any(codes.values()) and set(codes) >= set(expected):
        return "all"
    return ", ".join(name if code == 0 else f"{name}: exit {code}" for name, code in codes.items())
