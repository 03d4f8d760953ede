import contextlib
import dataclasses
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.errors import DataError, IncompatibleError


@pytest.fixture
def artifact():
    generator = np.random.default_rng(0)
    outputs = np.int8(np.arange(21).reshape(3, 7))
    return Artifact(
        model=generator.bytes(1000),
        labels=LABELS,
        input_spec=InputSpec(),
        scheme="int8",
        golden=Golden(generator.integers(0, 256, (3, 48, 48), np.uint8), outputs, outputs + np.int8(1), 2.0),
        provenance={"system": "test", "scores": {"accuracy": 0.5}},
    )


def test_saved_artifact_equals_the_loaded_one(artifact, tmp_path):
    artifact.save(tmp_path / "model.tflite")
    loaded = Artifact.load(tmp_path / "model.tflite")
    for item in dataclasses.fields(Artifact):
        if item.name != "golden":
            assert getattr(loaded, item.name) == getattr(artifact, item.name)
    assert np.array_equal(loaded.golden.inputs, artifact.golden.inputs)
    assert np.array_equal(loaded.golden.outputs, artifact.golden.outputs)
    assert np.array_equal(loaded.golden.reference, artifact.golden.reference)
    assert loaded.golden.outputs.dtype == np.int8
    assert loaded.golden.tolerance == 2.0


def without_temperature(content):
    """Return the file without the temperature, as older versions wrote it."""
    model = Artifact.from_bytes(content).model
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "a") as new:
        for name in old.namelist():
            entry = old.read(name)
            if name == "edgefer.json":
                facts = json.loads(entry)
                del facts["temperature"]
                entry = json.dumps(facts)
            new.writestr(name, entry)
    return buffer.getvalue()


def test_temperature_is_loaded_and_defaults_to_one(artifact):
    warm = dataclasses.replace(artifact, temperature=1.37)
    assert Artifact.from_bytes(warm.to_bytes()).temperature == 1.37
    assert Artifact.from_bytes(without_temperature(warm.to_bytes())).temperature == 1.0


def test_probabilities_are_the_softmax_of_logits_over_temperature(artifact):
    logits = np.float32([[2.0, 1.0, 0.0, -1.0, 0.5, 0.25, 0.125]])
    warm = dataclasses.replace(artifact, temperature=2.0).probabilities(logits)
    powers = np.exp(logits / 2)
    assert warm == pytest.approx(powers / powers.sum())
    assert warm.dtype == np.float32
    powers = np.exp(logits)
    assert artifact.probabilities(logits) == pytest.approx(powers / powers.sum())


def test_same_artifact_gives_the_same_bytes(artifact):
    assert artifact.to_bytes() == artifact.to_bytes()


def test_file_begins_with_the_model(artifact):
    assert artifact.to_bytes()[:1000] == artifact.model


def test_contract_is_a_readable_zip(artifact, tmp_path):
    path = tmp_path / "model.tflite"
    artifact.save(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"labels.txt", "edgefer.json", "golden.npz"}
        assert archive.read("labels.txt").decode().split() == list(LABELS)


def test_golden_outputs_within_the_tolerance_pass(artifact):
    assert artifact.golden.check(artifact.golden.outputs - 2) == 2


def test_difference_is_to_the_nearer_record(artifact):
    golden = artifact.golden
    assert golden.check(golden.outputs) == golden.check(golden.reference) == 0
    mixed = np.where(np.arange(7) % 2, golden.outputs, golden.reference)
    assert golden.check(mixed) == 0
    assert golden.check(golden.reference + 2) == 2
    with pytest.raises(IncompatibleError, match="differs by 3 steps"):
        golden.check(golden.outputs - 3)


def test_golden_mismatch_error_has_the_steps_and_the_position(artifact):
    outputs = artifact.golden.outputs.copy()
    outputs[1, 4] -= 9
    with pytest.raises(IncompatibleError, match="golden vector 1 differs by 9 steps in class 4") as caught:
        artifact.golden.check(outputs)
    assert "1 of 3 vectors" in str(caught.value)


def test_nan_is_a_mismatch():
    outputs = np.zeros((1, 7), np.float32)
    golden = Golden(np.zeros((1, 48, 48), np.uint8), outputs.copy(), outputs.copy(), 0.1)
    outputs[0, 2] = np.nan
    with pytest.raises(IncompatibleError, match="class 2"):
        golden.check(outputs)


def test_plain_model_has_no_contract(tmp_path):
    (tmp_path / "plain.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(100))
    with pytest.raises(DataError, match=r"plain\.tflite: the model has no contract"):
        Artifact.load(tmp_path / "plain.tflite")


def test_missing_file_is_named_in_the_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.tflite"):
        Artifact.load(tmp_path / "none.tflite")


def test_flipped_bit_in_the_model_is_detected(artifact):
    content = bytearray(artifact.to_bytes())
    content[500] ^= 1
    with pytest.raises(DataError, match="damaged"):
        Artifact.from_bytes(bytes(content))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_truncated_file_is_rejected(artifact, share):
    content = artifact.to_bytes()
    with pytest.raises(DataError):
        Artifact.from_bytes(content[: int(len(content) * share)])


def test_newer_contract_version_is_rejected(artifact):
    content = artifact.to_bytes()
    buffer = io.BytesIO(content[:1000])
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "a") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"contract_version": 1', b'"contract_version": 99'))
    with pytest.raises(IncompatibleError, match="version 99"):
        Artifact.from_bytes(buffer.getvalue())


def test_zipfile_module_lists_the_contract(artifact, tmp_path):
    artifact.save(tmp_path / "model.tflite")
    command = [sys.executable, "-m", "zipfile", "-l", str(tmp_path / "model.tflite")]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "edgefer.json" in listing.stdout


@pytest.mark.parametrize("seed", range(8))
def test_damaged_contract_is_rejected_or_complete(artifact, seed):
    rng, content = np.random.default_rng(seed), artifact.to_bytes()
    for _ in range(50):
        damaged = bytearray(content)
        for place in rng.integers(len(artifact.model), len(content), 3):
            damaged[place] = rng.integers(256)
        try:
            loaded = Artifact.from_bytes(bytes(damaged))
        except (DataError, IncompatibleError):
            continue
        assert loaded.model == artifact.model
        assert loaded.golden.outputs.shape == artifact.golden.outputs.shape


def with_entries(artifact, **entries):
    """Return the file of ``artifact`` with replaced ZIP entries, by the stem of their name."""
    names = {"edgefer": "edgefer.json", "golden": "golden.npz", "labels": "labels.txt"}
    buffer = io.BytesIO(artifact.model)
    with zipfile.ZipFile(io.BytesIO(artifact.to_bytes())) as old, zipfile.ZipFile(buffer, "a") as new:
        for key, name in names.items():
            new.writestr(name, entries.get(key, old.read(name)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": None}, {"provenance": []}, {"contract_version": "one"}, {"model_bytes": "many"}, {"input": {}},
        {"input": {"height": 48, "width": 48, "clahe": {"strength": 1}}}, {"input": {"height": 32, "width": 48,
        "clahe": None}}, {"golden_tolerance": "some"}, {"golden_tolerance": float("inf")}, {"golden_tolerance": -1},
        {"temperature": 0}, {"temperature": -1.5}, {"temperature": "warm"}, {"temperature": None}, {"temperature": []},
        {"temperature": float("inf")}, {"temperature": float("nan")}, {"temperature": 1e-4}, {"temperature": 1e4},
    ],
    ids=str,
)  # fmt: skip
def test_invalid_fields_are_rejected(artifact, changes):
    with zipfile.ZipFile(io.BytesIO(artifact.to_bytes())) as archive:
        facts = json.loads(archive.read("edgefer.json"))
    with pytest.raises(DataError, match="invalid|damaged|incomplete"):
        Artifact.from_bytes(with_entries(artifact, edgefer=json.dumps({**facts, **changes})))


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def vectors(*, inputs=np.zeros((3, 48, 48), np.uint8), outputs=np.zeros((3, 7), np.int8), reference=None):  # noqa: B008
    """Return a golden.npz; the reference outputs default to the outputs."""
    return npz(inputs=inputs, outputs=outputs, reference=outputs if reference is None else reference)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "golden",
    [
        b"junk",
        npy(np.zeros(3)),
        vectors(inputs=np.zeros((0, 48, 48), np.uint8), outputs=np.zeros((0, 7), np.int8)),
        vectors(outputs=np.zeros((2, 7), np.int8)),
        vectors(inputs=np.zeros((3, 48, 32), np.uint8)),
        vectors(inputs=np.zeros((3, 48, 48))),
        vectors(outputs=np.full((3, 7), "x")),
        vectors(reference=np.zeros((3, 6), np.int8)),
        vectors(reference=np.zeros((3, 7), np.float32)),
        npz(inputs=np.zeros((3, 48, 48), np.uint8), outputs=np.zeros((3, 7), np.int8)),
    ],
)
def test_invalid_golden_vectors_are_rejected(artifact, golden):
    with pytest.raises(DataError, match="invalid|damaged|incomplete"):
        Artifact.from_bytes(with_entries(artifact, golden=golden))


def test_flipped_bytes_never_raise_other_errors(artifact):
    content = artifact.to_bytes()
    for position in range(len(artifact.model), len(content), 7):
        flipped = bytearray(content)
        flipped[position] ^= 255
        with contextlib.suppress(DataError, IncompatibleError):
            assert Artifact.from_bytes(bytes(flipped)).model == artifact.model


def test_labels_may_contain_spaces(artifact):
    labels = ("very happy", *LABELS[1:])
    assert Artifact.from_bytes(dataclasses.replace(artifact, labels=labels).to_bytes()).labels == labels


def test_newer_contract_error_names_the_file(artifact, tmp_path):
    (tmp_path / "later.tflite").write_bytes(with_entries(artifact, edgefer='{"contract_version": 99}'))
    with pytest.raises(IncompatibleError, match=r"later\.tflite: .*version 99"):
        Artifact.load(tmp_path / "later.tflite")


def with_clahe(**changes):
    return {"input": {"height": 48, "width": 48, "clahe": {"clip_limit": 2.0, "tiles": 8, **changes}}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (with_clahe(tiles=40_000), "input.clahe.tiles is 40000"),
        (with_clahe(tiles=0), "input.clahe.tiles is 0"),
        (with_clahe(clip_limit="x"), 'input.clahe.clip_limit is "x"'),
        ({"input": {"height": 10**6, "width": 48, "clahe": None}}, "input.height is 1000000"),
        ({"model_bytes": -1}, "model_bytes is -1"),
        ({"scheme": "\x1b[2J"}, 'scheme is "\\u001b[2J"'),
        ({"provenance": {"system": ["x"]}}, r'provenance.system is ["x"], expected text'),
        ({"provenance": {"scores": 3}}, "provenance.scores is 3, expected an object"),
    ],
)  # fmt: skip
def test_invalid_field_is_named_with_its_value(artifact, changes, reason):
    with zipfile.ZipFile(io.BytesIO(artifact.to_bytes())) as archive:
        facts = json.loads(archive.read("edgefer.json"))
    with pytest.raises(DataError) as caught:
        Artifact.from_bytes(with_entries(artifact, edgefer=json.dumps({**facts, **changes})))
    assert caught.value.what == "edgefer.json is invalid"
    assert reason in caught.value.why


@pytest.mark.parametrize(
    "missing", ["model_sha256", "model_bytes", "input", "scheme", "provenance", "golden_tolerance"]
)
def test_missing_field_is_named(artifact, missing):
    with zipfile.ZipFile(io.BytesIO(artifact.to_bytes())) as archive:
        facts = json.loads(archive.read("edgefer.json"))
    del facts[missing]
    with pytest.raises(DataError, match=rf"edgefer\.json is incomplete: it has no {missing}"):
        Artifact.from_bytes(with_entries(artifact, edgefer=json.dumps(facts)))


@pytest.mark.parametrize(
    "labels",
    ["", "one\n" * 7, "\x1b]0;x\x07\nb\nc\nd\ne\nf\ng\n", "a\na\n", "\n".join(map(str, range(2000))), b"\xff\n" * 7],
    ids=range(6),
)
def test_invalid_labels_are_rejected(artifact, labels):
    with pytest.raises(DataError, match=r"labels\.txt is (invalid|damaged)"):
        Artifact.from_bytes(with_entries(artifact, labels=labels))


@pytest.mark.parametrize(
    ("entry", "name"), [("labels", "labels.txt"), ("edgefer", "edgefer.json"), ("golden", "golden.npz")]
)
def test_entry_above_its_limit_is_named(artifact, entry, name):
    with pytest.raises(DataError, match=f"{name} has more than"):
        Artifact.from_bytes(with_entries(artifact, **{entry: bytes(2**22 + 1)}))


def test_infinite_golden_outputs_are_rejected(artifact):
    outputs = np.full((3, 7), np.inf, np.float32)
    with pytest.raises(DataError, match="infinite or not a number"):
        Artifact.from_bytes(with_entries(artifact, golden=vectors(outputs=outputs)))


def test_file_that_is_too_large_for_a_model_is_not_read(tmp_path):
    with (tmp_path / "huge.tflite").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(DataError, match=r"huge\.tflite: the file is too large for a model: it has more than 256 MiB"):
        Artifact.load(tmp_path / "huge.tflite")


def facts_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return json.loads(archive.read("edgefer.json"))


def test_plain_model_has_the_contract_of_version_1(artifact):
    facts = facts_of(artifact.to_bytes())
    assert facts["contract_version"] == 1
    assert "output" not in facts


@pytest.mark.parametrize(
    "change",
    [{"output": "probabilities"}, {"input_spec": InputSpec(mean=(127.5,), std=(127.5,))}],
    ids=["probabilities", "range"],
)
def test_model_that_an_older_version_would_feed_wrongly_has_version_2(artifact, change):
    changed = dataclasses.replace(artifact, **change)
    assert facts_of(changed.to_bytes())["contract_version"] == 2
    loaded = Artifact.from_bytes(changed.to_bytes())
    assert (loaded.output, loaded.input_spec) == (changed.output, changed.input_spec)


def test_golden_vectors_of_a_color_model_have_three_channels(artifact):
    spec = InputSpec(8, 8, channels="rgb")
    inputs = np.zeros((3, 8, 8, 3), np.uint8)
    color = dataclasses.replace(artifact, input_spec=spec, golden=dataclasses.replace(artifact.golden, inputs=inputs))
    assert Artifact.from_bytes(color.to_bytes()).golden.inputs.shape == (3, 8, 8, 3)
    wrong = dataclasses.replace(color, input_spec=InputSpec(8, 8))
    with pytest.raises(DataError, match=r"golden\.npz is invalid"):
        Artifact.from_bytes(wrong.to_bytes())


def test_bare_artifact_has_no_golden_vectors():
    bare = Artifact.bare(b"model", ("yes", "no"), InputSpec(8, 8, channels="bgr"))
    assert bare.golden.inputs.shape == (0, 8, 8, 3)
    assert bare.golden.outputs.shape == (0, 2)
