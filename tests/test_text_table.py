from edgefer.text_table import WIDTH, percent, table


def test_text_to_the_left_numbers_to_the_right_and_none_is_a_dash():
    assert table(["name", "n"], [["a", 1], ["long", 1000], ["none", None]]).splitlines() == [
        "name     n",
        "──────────",
        "a        1",
        "long  1000",
        "none     -",
    ]


def test_a_long_name_folds_and_no_number_does():
    name, numbers = "x" * 200, ["123456789"] * 6
    lines = table(["name", *["a header of many words"] * 6], [[name, *numbers]]).splitlines()
    assert max(map(len, lines)) <= WIDTH
    row = next(line for line in lines if "1234" in line)
    assert row.split()[1:] == numbers
    assert sum(line.count("x") for line in lines) == 200


def test_numbers_that_do_not_fit_widen_the_table():
    numbers = ["12345678901234567890"] * 6
    assert table(["n"] * 7, [["a", *numbers]]).splitlines()[-1].split() == ["a", *numbers]


def test_brackets_are_not_markup():
    assert "[bold]x" in table(["name"], [["[bold]x"]])


def test_percent():
    assert percent(0.65432) == "65.43 %"
    assert percent(None) is None


def test_emoji_codes_are_not_markup():
    assert ":heart:.png" in table(["name"], [[":heart:.png"]])


def test_control_characters_of_a_cell_keep_its_row_in_one_line():
    lines = table(["name", "n"], [["a\nb\x1b[31m", 1], ["c", 2]]).splitlines()
    assert len(lines) == 4
    assert "a\\nb\\x1b[31m" in lines[2]
