"""Former option names work for one release with a notice on stderr, and are hidden from --help."""

import click
import pytest

from edgefer.cli.deprecated_names import DEPRECATED
from edgefer.cli.main import load_command

OPTIONS = [
    (command, former, present)
    for command, names in DEPRECATED.items()
    for former, present in names.items()
    if former.startswith("--")
]
# A valid value of each present option; "x" for the others.
VALUES = {"--preset": "standard", "--min-confidence": "0.7", "--calibration-trials": "3", "--distill-weight": "0.25"}


def parse(command, *arguments):
    parsed = load_command(command).make_context(command, list(arguments))
    return parsed.params


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(("command", "former", "present"), OPTIONS)
def test_a_former_option_sets_the_present_one_with_a_notice(capsys, command, former, present, joined):
    value = VALUES.get(present, "x")
    given = parse(command, *([f"{former}={value}"] if joined else [former, value]))
    assert capsys.readouterr().err.splitlines() == [
        f"{former} is deprecated and will be removed in the next release; use {present}"
    ]
    assert given == parse(command, present, value) != parse(command)
    assert capsys.readouterr().err == ""


def test_a_former_choice_selects_the_present_one_with_a_notice(capsys):
    given = parse("quantize", "--rounding", "second-order")
    assert capsys.readouterr().err == (
        "second-order is deprecated and will be removed in the next release; use gptq\n"
    )
    assert given["rounding"] == parse("quantize", "--rounding", "gptq")["rounding"] == "gptq"


@pytest.mark.parametrize("command", DEPRECATED)
def test_former_names_are_not_in_the_help(edgefer, command):
    words = {word.strip(".,;:[]|") for word in edgefer(command, "--help").out.split()}
    assert not words & set(DEPRECATED[command])


def test_a_value_that_equals_a_former_name_is_left_alone(capsys):
    assert parse("train", "--teacher", "from")["teacher"] == "from"
    assert capsys.readouterr().err == ""


def test_the_same_name_stays_valid_in_a_command_that_kept_it(capsys):
    assert str(parse("report", "results", "--into", "README.md")["into"]) == "README.md"
    assert capsys.readouterr().err == ""


def test_an_unknown_option_is_still_an_error():
    with pytest.raises(click.NoSuchOption):
        parse("export", "--against", "x")


def test_options_of_a_service_may_be_former_names(edgefer):
    outcome = edgefer("service", "install", "--print", "--", "--unsure-below", "0.7")
    assert outcome.code == 0, outcome.err
    assert "use --min-confidence" in outcome.err
