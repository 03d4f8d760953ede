import pytest

from edgefer.errors import DataError, UsageError
from edgefer.search.space import Choice, FloatRange, IntRange, open_teachers, parse_space, read_space


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


TWO = '[drawn]\narchitecture = { choice = ["residual", "compact"] }'


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
        (f"[fixed]\nmodel.stme = 8\n{TWO}", "[fixed] model.stme: expected an option of residual, compact"),
        (f"{TWO}\nmodel.stem_strid = {{choice=[1, 2]}}", "[drawn] model.stem_strid: expected an option of"),
        (f"{TWO}\nmodel.depth = {{choice=[2, 'a']}}", "[drawn] model.depth: model.depth = 'a'"),
        ("[drawn]\nmodel.stem = {choice=[8, 8]}", "twice"),
        ("[drawn]\nepochs = {choice=[1, 2]}", "epochs is in [drawn]"),
        ('[drawn]\nsystem = {choice=["nano", "small"]}', 'system is in [drawn]: the line system = "nano" at the top'),
        ('[fixed]\nsystem = "nano"\n[drawn]\nfloor = {low=0, high=1}', "system is in [fixed]"),
        ("[fixed]\nteacher = 5\n[drawn]\nfloor = {low=0, high=1}", "[fixed] teacher = 5"),
        ('[drawn]\nteacher = {choice=["", 5]}', "[drawn] teacher: choice = 5"),
        ("[drawn]\nteacher = {low=1, high=2}", "[drawn] teacher = {"),
        ("[drawn]\nlearning_rate = {choice=[1979-05-27, 0.1]}", "finite numbers"),
        ("[fixed]\nfloor = 1979-05-27\n[drawn]\nbatch_size = {low=1, high=2}", "[fixed] floor = 1979-05-27"),
        ("[fixed]\nfloor = inf\n[drawn]\nbatch_size = {low=1, high=2}", "[fixed] floor = inf"),
        ("[drawn]\nlearning_rate = {low=0.1, high=inf}", "finite numbers"),
        (f"[drawn]\nlearning_rate = {{low=1, high=1{400 * '0'}}}", "finite numbers"),
        ("[fixed]\nfloor = 0\n[drawn]\nfloor = {low=0, high=1}", "floor is in [drawn]"),
    ],
)
def test_an_invalid_space_names_the_entry(text, message):
    with pytest.raises(UsageError) as raised:
        parse_space(text)
    assert message in str(raised.value)


def test_each_teacher_is_opened_before_a_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    floor = "[drawn]\nfloor = {low=0, high=1}"
    open_teachers(parse_space(floor))
    open_teachers(parse_space('[drawn]\nteacher = {choice=["", "small"]}'))
    for text in (f'[fixed]\nteacher = "small,runs/none"\n{floor}', '[drawn]\nteacher = {choice=["", "runs/none"]}'):
        with pytest.raises(DataError, match="runs/none"):
            open_teachers(parse_space(text))


@pytest.mark.parametrize(
    ("encoding", "why"), [("utf-8-sig", ""), ("utf-16", "UTF-16, expected UTF-8"), ("latin-1", "not UTF-8")]
)
def test_a_space_in_utf_8_is_read_and_another_encoding_is_named(tmp_path, encoding, why):
    path = tmp_path / "space.toml"
    path.write_text("# K\u00fcche\n[drawn]\nfloor = {low=0, high=1}", encoding=encoding)
    if not why:
        assert list(read_space(path).drawn) == ["floor"]
        return
    with pytest.raises(UsageError, match=why):
        read_space(path)


def test_an_unreadable_space_names_the_file(tmp_path):
    (tmp_path / "a.toml").write_text("[drawn")
    for name in ("a.toml", "missing.toml"):
        with pytest.raises(UsageError, match=name):
            read_space(tmp_path / name)
