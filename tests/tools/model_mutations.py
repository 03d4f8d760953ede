"""Seeded mutations of model files: bytes, fields of the flatbuffer, and members of the contract.

    name, content = mutate([SHIPPED.read_bytes()], seed=17)      # the same seed gives the same mutant

Three kinds of mutants reach different code. Most mutations of bytes are found by the hash in the contract. Mutations of
the flatbuffer get a contract that fits ("sealed"), so that they reach the runtime. Mutations of the contract keep the
flatbuffer.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = ["MUTATIONS", "mutate", "seal"]

HOSTILE = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x40000000, 0x10000000, 0x00FFFFFF, 0x0000FFFF, 0)
ENTRIES = ("labels.txt", "edgefer.json", "golden.npz")
# Values in place of a field of edgefer.json.
HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7, 40_000, 2**31, 2**63, -(2**70), 1e300, -0.5, 8.5, float("nan"), float("inf"), "", "x",
    "\ud800", "\x1b[2J\x07", "a\nb", "x" * 5000, "../../etc/passwd", [], [1], [[]] * 9, {}, {"": None},
    {"a": {"b": []}},
)  # fmt: skip
BOMB_BYTES = 2**26

Mutation = Callable[[bytes, bytes, random.Random], bytes]


def seal(model: bytes, like: bytes, **changes: Any) -> bytes:
    """Append the contract of the file ``like`` to the flatbuffer ``model``, with the hash of ``model``.

    Args:
        model: a flatbuffer.
        like: a model file with a contract.
        changes: fields of edgefer.json to replace.
    """
    entries = read_contract(like)
    facts = {**json.loads(entries["edgefer.json"]), "model_bytes": len(model)}
    facts |= {"model_sha256": hashlib.sha256(model).hexdigest(), **changes}
    return write_contract(model, {**entries, "edgefer.json": json.dumps(facts).encode()})


def read_contract(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in ENTRIES}


def write_contract(model: bytes, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(buffer, "a", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def flatbuffer(content: bytes) -> bytes:
    """Return a model file without its contract."""
    at = content.find(b"PK\x03\x04")
    return content[:at] if at > 0 else content


# Bytes


def _flip(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        model[rng.randrange(len(model))] ^= 1 << rng.randrange(8)
    return model


def _flip_structure(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Flip bytes at both ends of the flatbuffer, where tables are and not weights."""
    end = len(flatbuffer(bytes(model)))
    places = [*range(min(2048, end)), *range(max(0, end - 2048), end)]
    for _ in range(rng.choice((1, 2, 8))):
        model[rng.choice(places)] = rng.randrange(256)
    return model


def _truncate(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    return model[: rng.randrange(len(model))]


def _splice(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    begin = rng.randrange(len(other))
    piece = other[begin : begin + rng.randrange(1, 4096)]
    at = rng.randrange(len(model))
    model[at : at + len(piece)] = piece
    return model


def _insert(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    at = rng.randrange(len(model))
    model[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 4, 100))))
    return model


def _swap_offsets(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Exchange words that may be offsets: small, positive and aligned."""
    words = _words(model, lambda value, end: 0 < value < end)
    for _ in range(rng.choice((1, 2, 4))):
        one, two = rng.choice(words), rng.choice(words)
        model[one : one + 4], model[two : two + 4] = model[two : two + 4], model[one : one + 4]
    return model


def _hostile_length(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Overwrite small words, most of which are lengths, dimensions and tensor indices."""
    words = _words(model, lambda value, end: value < 4096)
    for _ in range(rng.choice((1, 1, 3))):
        struct.pack_into("<I", model, rng.choice(words), rng.choice((*HOSTILE, rng.randrange(1, 5000))))
    return model


def _nudge(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Change small words a little: other operators, tensors, dimensions and options, but valid offsets."""
    words = _words(model, lambda value, end: value < 512)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.choice(words)
        value = struct.unpack_from("<I", model, at)[0] + rng.choice((-2, -1, 1, 2, 16, 100))
        struct.pack_into("<I", model, at, value & 0xFFFFFFFF)
    return model


def _words(model: bytearray, matches: Callable[[int, int], bool]) -> list[int]:
    end = len(flatbuffer(bytes(model)))
    return [at for at in range(0, end - 3, 4) if matches(struct.unpack_from("<I", model, at)[0], end)]


def _zip_tail(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Damage the contract as bytes."""
    end = len(flatbuffer(bytes(model)))
    for _ in range(rng.choice((1, 4, 32))):
        model[rng.randrange(end, len(model))] = rng.randrange(256)
    return model if rng.random() < 0.7 else model[: rng.randrange(end, len(model))]


def _zip_directory(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Overwrite sizes and offsets in the directory of the ZIP."""
    at = model.rfind(b"PK\x01\x02")
    for _ in range(rng.choice((1, 2, 5))):
        struct.pack_into("<I", model, rng.randrange(at, len(model) - 4), rng.choice(HOSTILE))
    return model


def _on_file(change: Callable[[bytearray, bytes, random.Random], bytearray]) -> Mutation:
    return lambda content, other, rng: bytes(change(bytearray(content), other, rng))


def _sealed(change: Callable[[bytearray, bytes, random.Random], bytearray]) -> Mutation:
    def mutation(content: bytes, other: bytes, rng: random.Random) -> bytes:
        model = bytes(change(bytearray(flatbuffer(content)), flatbuffer(other), rng))
        return seal(model or b"\0", content)

    return mutation


# Fields of the flatbuffer


def _edit_fields(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Change fields of a valid flatbuffer and pack it again."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer(content), 0))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice((_edit_operator, _edit_operator, _edit_tensor, _edit_tensor, _edit_graph))(model, rng)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return seal(bytes(builder.Output()), content)


def _edit_operator(model: Any, rng: random.Random) -> None:
    graph = model.subgraphs[0]
    op = rng.choice(graph.operators)
    kind = rng.randrange(5)
    if kind == 0:
        op.outputs = np.array([rng.randrange(-1, len(graph.tensors))], np.int32)
    elif kind == 1:
        inputs = [int(index) for index in op.inputs]
        inputs[rng.randrange(len(inputs))] = rng.randrange(-1, len(graph.tensors))
        op.inputs = np.array(inputs[: rng.randrange(1, 9)], np.int32)
    elif kind == 2:
        op.opcodeIndex = rng.randrange(len(model.operatorCodes))
    elif kind == 3 and op.builtinOptions is not None:
        options = vars(op.builtinOptions)
        name = rng.choice(list(options))
        if isinstance(options[name], bool):
            setattr(op.builtinOptions, name, not options[name])
        elif isinstance(options[name], int):
            # Enumerations are bytes; the others are 32-bit integers.
            wide = any(word in name for word in ("stride", "dilation", "filter"))
            setattr(op.builtinOptions, name, rng.choice((0, 1, 2, 3, 5, 100, 2**20 if wide else 7)))
    else:
        code = rng.choice(model.operatorCodes)
        code.builtinCode = rng.randrange(120)
        code.deprecatedBuiltinCode = code.builtinCode


def _edit_tensor(model: Any, rng: random.Random) -> None:
    tensor = rng.choice(model.subgraphs[0].tensors)
    kind = rng.randrange(5)
    if kind == 0:
        shape = [int(size) for size in tensor.shape] or [1]
        shape[rng.randrange(len(shape))] = rng.choice((-1, 0, 1, 2, 3, 49, 4096, 2**20, 2**30))
        tensor.shape = np.array(shape, np.int32)
    elif kind == 1:
        tensor.type = rng.randrange(18)
    elif kind == 2:
        tensor.buffer = rng.randrange(len(model.buffers))
    elif tensor.quantization is not None and kind == 3:
        values = rng.choice(([], [0.0], [float("nan")], [float("inf")], [-1.0], [1e-30], [1e30]))
        tensor.quantization.scale = np.array(values, np.float32)
    elif tensor.quantization is not None:
        tensor.quantization.zeroPoint = np.array(rng.choice(([], [2**40], [-(2**31)], [300])), np.int64)


def _edit_graph(model: Any, rng: random.Random) -> None:
    graph = model.subgraphs[0]
    kind = rng.randrange(6)
    if kind == 0:
        graph.operators = graph.operators * rng.choice((2, 50))
    elif kind == 1:
        rng.shuffle(graph.operators)
    elif kind == 2:
        graph.outputs = np.array([rng.randrange(len(graph.tensors))], np.int32)
    elif kind == 3:
        graph.inputs = np.array([rng.randrange(len(graph.tensors))], np.int32)
    elif kind == 4:
        model.subgraphs = model.subgraphs * rng.choice((2, 20))
    else:
        buffer = rng.choice(model.buffers)
        buffer.data = None if buffer.data is None else buffer.data[: rng.randrange(len(buffer.data) + 1)]


# Members of the contract


def _edit_facts(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Replace or delete a field of edgefer.json."""
    entries = read_contract(content)
    facts = json.loads(entries["edgefer.json"])
    facts["input"] = rng.choice((facts["input"], {**facts["input"], "clahe": {"clip_limit": 2.0, "tiles": 8}}))
    for _ in range(rng.choice((1, 1, 2))):
        parent: Any = facts
        while True:
            key = rng.choice(list(parent))
            if isinstance(parent[key], dict) and parent[key] and rng.random() < 0.7:
                parent = parent[key]
                continue
            break
        if rng.random() < 0.2:
            del parent[key]
            facts = facts or {"x": 0}
        else:
            parent[key] = copy.deepcopy(rng.choice(HOSTILE_VALUES))
    return write_contract(flatbuffer(content), {**entries, "edgefer.json": json.dumps(facts).encode()})


def _edit_json_text(content: bytes, other: bytes, rng: random.Random) -> bytes:
    entries = read_contract(content)
    text = entries["edgefer.json"]
    hostile = rng.choice(
        (b"[" * 100_000, b'{"a":' * 5000, b"", b"null", b"[]", b"\xff" + text, text[: rng.randrange(len(text))],
         b"9" * 10_000,
         text.replace(b": ", b": 1e999, \"x\": ", 1), text + b"\0" * BOMB_BYTES, b'"' + b"a" * 2**20 + b'"')
    )  # fmt: skip
    return write_contract(flatbuffer(content), {**entries, "edgefer.json": hostile})


def _edit_labels(content: bytes, other: bytes, rng: random.Random) -> bytes:
    entries = read_contract(content)
    labels = entries["labels.txt"]
    hostile = rng.choice(
        (b"", b"\n" * 7, b"\xff\n" * 7, labels + b"one more\n", labels.replace(b"happy", b"angry"), b"x" * 10**6,
         labels.replace(b"happy", b"\x1b]0;title\x07"), b"\n".join([b"a"] * 10**5), bytes(BOMB_BYTES),
         labels.replace(b"happy", "\u202ehappy".encode()), labels.replace(b"happy", b"\x00"))
    )  # fmt: skip
    return write_contract(flatbuffer(content), {**entries, "labels.txt": hostile})


def _edit_golden(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Replace an array of golden.npz: its header, its dtype, its shape, or all of it."""
    entries = read_contract(content)
    with zipfile.ZipFile(io.BytesIO(entries["golden.npz"])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    shape = rng.choice(
        ((), (0,), (1,), (2**40,), (-1,), (9, 48, 48), (9, 7), (2**20, 48, 48), (9, 7, 1), (True, 48, 48))
    )
    dtype = rng.choice(
        ("|u1", "|i1", "<f4", "<f8", ">i4", "|O", "|S5", "<U9", "|V8", "<c8", "|b1", "<m8[s]", "x", "[]")
    )
    header = f"{{'descr': {dtype!r}, 'fortran_order': {rng.choice((False, True))}, 'shape': {shape!r}, }}"
    header = rng.choice((header, header, header, "(" * 5000, "-" * 9000 + "1", "{}", "1" * 60_000, ""))
    version = rng.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\7\7"))
    length = struct.pack("<H" if version[0] == 1 else "<I", min(len(header), 0xFFFF))
    members[name] = rng.choice(
        (
            b"\x93NUMPY" + version + length + header.encode() + bytes(rng.choice((0, 63, 20736, 2**20))),
            b"",
            b"\x93NUMPY\2\0" + struct.pack("<I", 0xFFFFFFF0),
            members[name][: rng.randrange(len(members[name]))],
            bytes(BOMB_BYTES),
        )
    )
    if rng.random() < 0.1:
        del members[name]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, value in members.items():
            # Without the time, or equal seeds would give different sizes after the outer compression.
            archive.writestr(zipfile.ZipInfo(member), value, zipfile.ZIP_DEFLATED)
    golden = buffer.getvalue() if rng.random() < 0.9 else rng.choice((b"", b"PK", bytes(BOMB_BYTES)))
    return write_contract(flatbuffer(content), {**entries, "golden.npz": golden})


def _edit_archive(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Change the structure of the ZIP: methods, duplicates, missing and extra entries."""
    entries = read_contract(content)
    kind = rng.randrange(5)
    if kind == 0:
        return write_contract(flatbuffer(content), entries, rng.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    if kind == 1:
        entries.pop(rng.choice(ENTRIES))
    elif kind == 2:
        entries |= {f"extra-{index}": b"" for index in range(rng.choice((1, 100, 70_000)))}
    elif kind == 3:
        return content + rng.choice((b"x", b"PK\5\6", bytes(70_000)))
    else:
        return flatbuffer(content) + write_contract(b"", entries)
    return write_contract(flatbuffer(content), entries)


BYTE_CHANGES = {
    "flip": _flip, "flip structure": _flip_structure, "truncate": _truncate, "splice": _splice, "insert": _insert,
    "swap offsets": _swap_offsets, "hostile length": _hostile_length, "nudge": _nudge,
}  # fmt: skip
MUTATIONS: dict[str, Mutation] = {
    **{name: _on_file(change) for name, change in BYTE_CHANGES.items()},
    "zip tail": _on_file(_zip_tail),
    "zip directory": _on_file(_zip_directory),
    **{f"sealed {name}": _sealed(change) for name, change in BYTE_CHANGES.items()},
    "fields": _edit_fields,
    "fields again": _edit_fields,
    "fields once more": _edit_fields,
    "edgefer.json": _edit_facts,
    "edgefer.json again": _edit_facts,
    "JSON text": _edit_json_text,
    "labels.txt": _edit_labels,
    "golden.npz": _edit_golden,
    "archive": _edit_archive,
}


def mutate(models: list[bytes], seed: int) -> tuple[str, bytes]:
    """Return the name of mutation number ``seed`` and the content of the mutant.

    Args:
        models: model files with a contract.
        seed: determines the mutation, the model and all random choices.
    """
    rng = random.Random(seed)
    name = list(MUTATIONS)[seed % len(MUTATIONS)]
    return name, MUTATIONS[name](rng.choice(models), rng.choice(models), rng)
