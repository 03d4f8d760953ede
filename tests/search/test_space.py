import pytest

from edgefer.errors import UsageError
from edgefer.search.space import Choice, FloatRange, IntRange, parse_space, read_space


def test_a_space_reads_its_ranges_and_choices(space):
    assert space.drawn == {
        "learning_rate": FloatRange(0.002, 0.02, log=True),
        "model.width": Choice((4, 6, 8, 32)),
        "augment.zoom": FloatRange(0.0, 0.2),
    }
    assert space.fixed == {"model.stem": 4, "ema_epochs": 0}
    assert (space.system, space.epochs, space.faces) == ("demo", 2, 140)


def test_a_trial_combines_the_system_with_fixed_and_drawn_settings(space):
    settings = space.settings({"learning_rate": 0.003, "model.width": 8, "augment.zoom": 0.1}, number=7)
    assert settings.system == "demo-0007"
    assert settings.model == {"stem": 4, "width": 8, "depth": 1}
    assert (settings.learning_rate, settings.augment.zoom, settings.epochs) == (0.003, 0.1, 2)
    assert settings.augment.rotation_degrees == 5.0  # of the system


def test_integers_become_floats_where_the_setting_is_one():
    space = parse_space("[drawn]\nfloor = { low = 0, high = 1 }\nbatch_size = { low = 32, high = 128, step = 32 }")
    assert space.drawn == {"floor": FloatRange(0.0, 1.0), "batch_size": IntRange(32, 128, step=32)}


def test_options_that_a_drawn_architecture_lacks_are_left_out():
    space = parse_space(
        'system = "nano"\n[drawn]\narchitecture = { choice = ["residual", "compact"] }\n'
        "model.stem_stride = { choice = [1, 2] }\nmodel.stem = { choice = [8, 16] }"
    )
    drawn = {"architecture": "compact", "model.stem_stride": 2, "model.stem": 8}
    assert space.settings(drawn).model == {"stem": 8}
    assert space.settings({**drawn, "architecture": "residual"}).model["stem_stride"] == 2


def test_a_teacher_is_no_setting():
    space = parse_space('[fixed]\nteacher = "small"\n[drawn]\nlearning_rate = { low = 0.01, high = 0.1 }')
    assert space.teacher({"learning_rate": 0.05}) == "small"
    assert space.settings({"learning_rate": 0.05}).learning_rate == 0.05


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "unknown entry x"),
        ("", "nothing to search"),
        ("drawn = 3", "drawn = 3"),
        ('system = "nan"\n[drawn]\nfloor = {low=0, high=1}', "no 'nan'"),
        ("faces = -1\n[drawn]\nfloor = {low=0, high=1}", "faces = -1"),
        ("[drawn]\nlearning_rat = {low=1, high=2}", "unknown setting learning_rat"),
        ("[drawn]\nlearning_rate = {low=1, hig=2}", "hig"),
        ("[drawn]\nlearning_rate = 3", "[drawn] learning_rate = 3"),
        ("[drawn]\nlearning_rate = {low=0, high=2, log=true}", "expected 0 < low < high"),
        ("[drawn]\nlearning_rate = {low=2, high=1}", "expected low < high"),
        ("[drawn]\nlearning_rate = {low=1, high=5000}", "learning_rate = 5000"),
        ("[drawn]\nmodel.foo = {choice=[1, 2]}", "no option model.foo"),
        ('[drawn]\nmodel.stem = {choice=[8, "a"]}', "model.stem = 'a'"),
        ("[drawn]\nmodel.stem = {choice=[8]}", "at least two values"),
        ("[drawn]\nmodel.stem = {choice=[8, 8]}", "twice"),
        ("[drawn]\nepochs = {choice=[1, 2]}", "epochs is in [drawn]"),
        ("[fixed]\nfloor = 0\n[drawn]\nfloor = {low=0, high=1}", "floor is in [drawn]"),
    ],
)
def test_an_invalid_space_names_the_entry(text, message):
    with pytest.raises(UsageError) as raised:
        parse_space(text)
    assert message in str(raised.value)


def test_an_unreadable_space_names_the_file(tmp_path):
    (tmp_path / "a.toml").write_text("[drawn")
    for name in ("a.toml", "missing.toml"):
        with pytest.raises(UsageError, match=name):
            read_space(tmp_path / name)
