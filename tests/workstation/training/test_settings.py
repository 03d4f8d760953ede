import dataclasses
import math

import pytest

from edgefer import plugins
from edgefer.contract.preprocessing import Clahe, InputSpec
from edgefer.errors import UsageError
from edgefer.workstation.training.settings import (
    CHOICES,
    NO_AUGMENT,
    POLICIES,
    RANGES,
    Augment,
    TrainSettings,
    from_toml,
    resolve,
    to_toml,
)
from edgefer.workstation.workflows.train import load_system

BASE = TrainSettings()


def assigned(*assignments):
    return resolve(BASE, assignments=assignments)


def refusal(*assignments):
    with pytest.raises(UsageError) as caught:
        assigned(*assignments)
    assert caught.value.hint
    return str(caught.value)


def test_an_assignment_changes_one_setting():
    assert assigned("epochs=30") == dataclasses.replace(BASE, epochs=30)


def test_a_dot_reaches_into_a_table_and_leaves_the_rest_of_it():
    changed = assigned("augment.rotation_degrees=15", "augment.flip=false", "model.width=16", "model.depth=1")
    assert changed.augment == dataclasses.replace(Augment(), rotation_degrees=15.0, flip=False)
    assert changed.model == {"width": 16, "depth": 1}


def test_later_assignments_win():
    assert assigned("epochs=1", "epochs=2").epochs == 2


@pytest.mark.parametrize(
    ("text", "value"), [("sgd", "sgd"), ('"adam"', "adam"), (" adamw ", "adamw")], ids=["bare", "quoted", "spaced"]
)
def test_a_word_needs_no_quotes(text, value):
    assert assigned(f"optimizer={text}").optimizer == value


def test_a_value_may_hold_an_equals_sign():
    assert assigned("system=a=b").system == "a=b"


def test_an_int_becomes_a_float_where_a_float_is_meant():
    changed = assigned("learning_rate=1", "augment.rotation_degrees=15")
    assert isinstance(changed.learning_rate, float)
    assert isinstance(changed.augment.rotation_degrees, float)
    assert to_toml(changed) == to_toml(assigned("learning_rate=1.0", "augment.rotation_degrees=15.0"))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("epoch=3", "epochs"),
        ("learning_rat=0.1", "learning_rate"),
        ("augment.rotation=3", "augment.rotation_degrees"),
        ("agment.flip=true", "augment"),
        ("input.heigth=48", "input.height"),
        ("input.clahe.tilez=4", "input.clahe.tiles"),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(wrong, meant):
    assert refusal(wrong).endswith(f"try: {meant}")


def test_a_key_like_no_other_names_those_that_exist():
    assert "batch_size, optimizer, learning_rate" in refusal("frobnicate=3")


@pytest.mark.parametrize(
    "wrong",
    [
        "epochs=3.0",
        "epochs=true",
        "epochs=many",
        "epochs=",
        "epochs.x=3",
        "batch_size=1e2",
        "optimizer=3",
        "learning_rate=false",
        "learning_rate=fast",
        "augment.flip=1",
        "augment.zoom=true",
        "input.height=48.0",
        "input.clahe.tiles=yes",
    ],
)
def test_a_value_of_another_type_is_refused(wrong):
    message = refusal(wrong)
    assert "a value of type" in message
    assert message.startswith(wrong.partition("=")[0].removesuffix(".x"))


@pytest.mark.parametrize("table", ["augment", "input", "model", "input.clahe"])
def test_a_table_takes_no_plain_value(table):
    assert f"--set {table}.NAME=VALUE" in refusal(f"{table}=3")


@pytest.mark.parametrize("name", CHOICES)
def test_choices_name_those_that_exist(name):
    message = refusal(f"{name}=nonsense")
    assert all(choice in message for choice in CHOICES[name])
    assert all(getattr(assigned(f"{name}={choice}"), name) == choice for choice in CHOICES[name])


@pytest.mark.parametrize("name", RANGES)
def test_ranges_hold_at_both_ends(name):
    low, high = RANGES[name]
    for bound in (low, high):
        assigned(f"{name}={bound}")
    step = 1 if isinstance(low, int) and isinstance(high, int) and "augment" not in name else 1e-9
    for beyond in (low - step, high + step * max(1, high)):
        refusal(f"{name}={beyond}")


@pytest.mark.parametrize("name", [name for name in RANGES if isinstance(RANGES[name][1], float)])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_in_no_range(name, value):
    refusal(f"{name}={value}")


def test_python_callers_are_checked_too():
    with pytest.raises(UsageError, match="epochs = 0"):
        TrainSettings(epochs=0)
    with pytest.raises(UsageError, match=r"augment\.zoom"):
        TrainSettings(augment=Augment(zoom=2.0))
    with pytest.raises(UsageError, match=r"input\.height"):
        TrainSettings(input=InputSpec(height=0))


def test_an_assignment_without_a_value_says_how_to_write_one():
    assert refusal("epochs").endswith("--set epochs=30")


def test_clahe_is_turned_on_in_part_and_off_again():
    on = assigned("input.clahe.tiles=4")
    assert on.input == InputSpec(clahe=Clahe(clip_limit=2.0, tiles=4))
    assert resolve(on, assignments=["input.clahe=false"]) == BASE


def test_a_file_comes_before_assignments(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('epochs = 3\noptimizer = "adam"\n[augment]\nshift = 0\n[input.clahe]\ntiles = 4\n')
    changed = resolve(BASE, file=path, assignments=["epochs=5"])
    assert (changed.epochs, changed.optimizer, changed.augment.shift) == (5, "adam", 0.0)
    assert changed.input.clahe == Clahe(tiles=4)
    assert changed.augment.zoom == BASE.augment.zoom


@pytest.mark.parametrize(
    "content", [b"epochs = ", b"\xff\xfe", b"[augment\n", None], ids=["cut", "binary", "bracket", "none"]
)
def test_a_file_that_is_not_toml_is_named(tmp_path, content):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"mine\.toml") as caught:
        resolve(BASE, file=path)
    assert caught.value.hint


@pytest.mark.parametrize("system", plugins.names("edgefer.workstation.training.systems"))
def test_systems_survive_toml(system):
    settings = load_system(system)
    assert from_toml(to_toml(settings)) == settings


def test_every_field_survives_toml():
    changed = assigned(
        'system="name with \\"quotes\\", \\\\ and é 😀"',
        "input.clahe.clip_limit=3",
        "model.width=16",
        'model.note="x"',
        "model.rate=1e-5",
        "model.on=true",
        "model.limit=inf",
        "learning_rate=1e-7",
        "augment.flip=false",
    )
    again = from_toml(to_toml(changed))
    assert again == changed
    assert math.isinf(again.model["limit"])
    assert to_toml(again) == to_toml(changed)


def test_clahe_is_turned_on_with_its_defaults_and_off_again():
    assert assigned("input.clahe=true").input.clahe == Clahe()
    assert assigned("input.clahe.tiles=4", "input.clahe=true").input.clahe == Clahe(tiles=4)
    assert assigned("input.clahe=true", "input.clahe=false").input.clahe is None


def test_one_assignment_is_one_value():
    assert "epochs = '30\\nseed=3'" in refusal("epochs=30\nseed=3")


@pytest.mark.parametrize("order", [1, -1])
def test_another_architecture_leaves_the_options_of_the_first_behind(order):
    base = load_system("compact_small")
    assert base.model
    changed = resolve(base, assignments=["architecture=two_conv", "model.dropout=0.3"][::order])
    assert (changed.architecture, changed.model) == ("two_conv", {"dropout": 0.3})
    assert resolve(base, assignments=["architecture=compact"]).model == base.model


@pytest.mark.parametrize("name", plugins.names("edgefer.workstation.training.systems"))
def test_the_settings_of_a_run_make_the_same_run_whatever_the_system(tmp_path, name):
    settings = load_system(name)
    (tmp_path / "settings.toml").write_text(to_toml(settings))
    assert resolve(load_system("compact_small"), file=tmp_path / "settings.toml") == settings


def test_a_slip_in_a_file_names_the_file(tmp_path):
    (tmp_path / "mine.toml").write_text("[augmnt]\nflip = false\n")
    with pytest.raises(UsageError, match=r"mine\.toml: no setting augmnt"):
        resolve(BASE, file=tmp_path / "mine.toml")


def test_an_augmentation_has_a_name_and_may_be_changed_in_part():
    settings = resolve(TrainSettings(), assignments=["augment=strong", "augment.zoom=0.3"])
    assert settings.augment == dataclasses.replace(POLICIES["strong"], zoom=0.3)
    assert resolve(TrainSettings(), assignments=["augment=none"]).augment == NO_AUGMENT
    with pytest.raises(UsageError) as caught:
        resolve(TrainSettings(), assignments=["augment=stong"])
    assert caught.value.hint == "--augment strong"
