import dataclasses
import math
from operator import attrgetter

import pytest

from edgefer import plugins
from edgefer.contract.preprocessing import Clahe, InputSpec
from edgefer.errors import UsageError
from edgefer.workstation.training.settings import AUGMENT_PRESETS, CHOICES, NO_AUGMENT, RANGES, Augment, TrainSettings
from edgefer.workstation.training.settings_toml import from_toml, resolve, to_toml
from edgefer.workstation.workflows.train import load_system

BASE = TrainSettings()


def assigned(*assignments):
    return resolve(BASE, assignments=assignments)


def rejection(*assignments):
    with pytest.raises(UsageError) as caught:
        assigned(*assignments)
    assert caught.value.hint
    return str(caught.value)


def test_an_assignment_changes_one_setting():
    assert assigned("epochs=30") == dataclasses.replace(BASE, epochs=30)


def test_a_dotted_key_changes_one_entry_of_a_table():
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


def test_a_value_may_contain_an_equals_sign():
    assert assigned("system=a=b").system == "a=b"


def test_an_int_is_converted_for_a_float_setting():
    changed = assigned("learning_rate=1", "augment.rotation_degrees=15")
    assert isinstance(changed.learning_rate, float)
    assert isinstance(changed.augment.rotation_degrees, float)
    assert to_toml(changed) == to_toml(assigned("learning_rate=1.0", "augment.rotation_degrees=15.0"))


@pytest.mark.parametrize(
    ("assignment", "suggestion"),
    [
        ("epoch=3", "epochs"),
        ("learning_rat=0.1", "learning_rate"),
        ("augment.rotation=3", "augment.rotation_degrees"),
        ("agment.flip=true", "augment"),
        ("input.heigth=48", "input.height"),
        ("input.clahe.tilez=4", "input.clahe.tiles"),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(assignment, suggestion):
    assert rejection(assignment).endswith(f"try: {suggestion}")


def test_an_unknown_key_lists_the_known_settings():
    assert "batch_size, optimizer, learning_rate" in rejection("frobnicate=3")


@pytest.mark.parametrize(
    "assignment",
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
def test_a_value_of_the_wrong_type_is_rejected(assignment):
    message = rejection(assignment)
    assert "a value of type" in message
    assert message.startswith(assignment.partition("=")[0].removesuffix(".x"))


@pytest.mark.parametrize("table", ["augment", "input", "model", "input.clahe"])
def test_a_table_rejects_a_plain_value(table):
    assert f"--set {table}.NAME=VALUE" in rejection(f"{table}=3")


@pytest.mark.parametrize("name", CHOICES)
def test_an_invalid_choice_lists_the_valid_ones(name):
    message = rejection(f"{name}=nonsense")
    assert all(choice in message for choice in CHOICES[name])
    assert all(attrgetter(name)(assigned(f"{name}={choice}")) == choice for choice in CHOICES[name])


@pytest.mark.parametrize("name", RANGES)
def test_ranges_include_their_bounds(name):
    low, high = RANGES[name]
    for bound in (low, high):
        assigned(f"{name}={bound}")
    step = 1 if isinstance(low, int) and isinstance(high, int) and "augment" not in name else 1e-9
    for beyond in (low - step, high + step * max(1, high)):
        rejection(f"{name}={beyond}")


@pytest.mark.parametrize("name", [name for name in RANGES if isinstance(RANGES[name][1], float)])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_infinity_and_nan_are_out_of_range(name, value):
    rejection(f"{name}={value}")


def test_the_constructor_validates_its_arguments():
    with pytest.raises(UsageError, match="epochs = 0"):
        TrainSettings(epochs=0)
    with pytest.raises(UsageError, match=r"augment\.zoom"):
        TrainSettings(augment=Augment(zoom=2.0))
    with pytest.raises(UsageError, match=r"input\.height"):
        TrainSettings(input=InputSpec(height=0))


def test_an_assignment_without_a_value_shows_the_syntax():
    assert rejection("epochs").endswith("--set epochs=30")


def test_one_clahe_option_enables_clahe_and_false_disables_it():
    on = assigned("input.clahe.tiles=4")
    assert on.input == InputSpec(clahe=Clahe(clip_limit=2.0, tiles=4))
    assert resolve(on, assignments=["input.clahe=false"]) == BASE


def test_assignments_override_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('epochs = 3\noptimizer = "adam"\n[augment]\nshift = 0\n[input.clahe]\ntiles = 4\n')
    changed = resolve(BASE, file=path, assignments=["epochs=5"])
    assert (changed.epochs, changed.optimizer, changed.augment.shift) == (5, "adam", 0.0)
    assert changed.input.clahe == Clahe(tiles=4)
    assert changed.augment.zoom == BASE.augment.zoom


@pytest.mark.parametrize(
    "content", [b"epochs = ", b"\xff\xfe", b"[augment\n", None], ids=["cut", "binary", "bracket", "none"]
)
def test_an_invalid_toml_file_is_named(tmp_path, content):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"mine\.toml") as caught:
        resolve(BASE, file=path)
    assert caught.value.hint


def test_a_settings_file_may_have_a_byte_order_mark(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 3\n", encoding="utf-8-sig")
    assert resolve(BASE, file=path).epochs == 3


@pytest.mark.parametrize("system", plugins.names("edgefer.workstation.training.systems"))
def test_every_system_round_trips_through_toml(system):
    settings = load_system(system)
    assert from_toml(to_toml(settings)) == settings


def test_every_field_round_trips_through_toml():
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


@pytest.mark.parametrize(
    "model",
    [
        {"blocks": [{"filters": 8, "rates": [1, 2.5]}, {"name": "x", "last": {"on": True}}]},
        {"rates": [1e-7, math.inf], "empty": [], "table": {}},
        {"a b": 1, 'q"\n': 2, "": 3},
        {"note": "\x7f"},
    ],
    ids=["tables", "numbers", "keys", "delete"],
)
def test_options_of_an_own_architecture_round_trip_through_toml(model):
    settings = dataclasses.replace(BASE, model=model)
    assert from_toml(to_toml(settings)) == settings


def test_a_date_is_no_option_of_an_architecture():
    assert "model.since = 2026-01-31: expected a number" in rejection("model.since=2026-01-31")


def test_true_enables_clahe_with_its_defaults():
    assert assigned("input.clahe=true").input.clahe == Clahe()
    assert assigned("input.clahe.tiles=4", "input.clahe=true").input.clahe == Clahe(tiles=4)
    assert assigned("input.clahe=true", "input.clahe=false").input.clahe is None


def test_an_assignment_sets_exactly_one_value():
    assert "epochs = '30\\nseed=3'" in rejection("epochs=30\nseed=3")


@pytest.mark.parametrize("order", [1, -1])
def test_a_new_architecture_clears_the_model_options(order):
    base = load_system("compact_small")
    assert base.model
    changed = resolve(base, assignments=["architecture=two_conv", "model.dropout=0.3"][::order])
    assert (changed.architecture, changed.model) == ("two_conv", {"dropout": 0.3})
    assert resolve(base, assignments=["architecture=compact"]).model == base.model


@pytest.mark.parametrize("name", plugins.names("edgefer.workstation.training.systems"))
def test_a_complete_settings_file_overrides_every_setting_of_the_system(tmp_path, name):
    settings = load_system(name)
    (tmp_path / "settings.toml").write_text(to_toml(settings))
    assert resolve(load_system("compact_small"), file=tmp_path / "settings.toml") == settings


def test_an_unknown_setting_in_a_file_names_the_file(tmp_path):
    (tmp_path / "mine.toml").write_text("[augmnt]\nflip = false\n")
    with pytest.raises(UsageError, match=r"mine\.toml: unknown setting augmnt"):
        resolve(BASE, file=tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("learningrate", "learning_rate"), ("lr", "learning_rate"), ("wd", "weight_decay"), ("batch", "batch_size"),
        ("dropout", "model.dropout"), ("rotation", "augment.rotation_degrees"), ("input.heigth", "input.height"),
        ("zzz", "--set NAME=VALUE with one of these names"),
        ("augment.zzz", "--set augment.NAME=VALUE with one of these names"),
    ],
)  # fmt: skip
def test_an_unknown_setting_suggests_the_one_that_is_meant(key, hint):
    with pytest.raises(UsageError, match=f"unknown setting {key}") as refused:
        resolve(load_system("base"), assignments=[f"{key}=1"])
    assert refused.value.hint == hint


def test_augmentation_presets_can_be_overridden():
    settings = resolve(TrainSettings(), assignments=["augment=strong", "augment.zoom=0.3"])
    assert settings.augment == dataclasses.replace(AUGMENT_PRESETS["strong"], zoom=0.3)
    assert resolve(TrainSettings(), assignments=["augment=none"]).augment == NO_AUGMENT
    with pytest.raises(UsageError) as caught:
        resolve(TrainSettings(), assignments=["augment=stong"])
    assert caught.value.hint == "--augment strong"
