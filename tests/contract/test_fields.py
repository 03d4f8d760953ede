import pytest

from edgefer.contract.fields import Fields
from edgefer.errors import DataError


def parse(text):
    return Fields.parse(text.encode("utf-8", "surrogatepass"), entry="facts.json")


def test_values_of_the_right_type_are_returned():
    fields = parse('{"a": 3, "b": 1, "c": "text", "d": {"e": 0.5}}')
    assert (fields.integer("a", 1, 9), fields.text("c", 9)) == (3, "text")
    assert (fields.number("b", 0, 1), fields.object("d").number("e", 0, 1)) == (1.0, 0.5)
    assert fields.number("missing", 0, 1, default=0.25) == 0.25


@pytest.mark.parametrize("value", ["0", "10", "1.5", "true", '"3"', "null", "[]", "NaN", "1e999"])
def test_value_that_is_not_an_integer_in_range_is_named_with_its_path(value):
    fields = parse(f'{{"input": {{"height": {value}}}}}').object("input")
    with pytest.raises(
        DataError, match=r"facts\.json is invalid: input\.height is .*, expected an integer from 1 to 9"
    ):
        fields.integer("height", 1, 9)


@pytest.mark.parametrize("value", ["-0.1", "1.1", "true", '"x"', "NaN", "Infinity", "{}"])
def test_value_that_is_not_a_number_in_range_is_rejected(value):
    with pytest.raises(DataError, match="expected a number from 0 to 1"):
        parse(f'{{"a": {value}}}').number("a", 0, 1)


@pytest.mark.parametrize("value", ["3", '"too long"', '"a\\nb"', '"\\u001b[2J"', "null"])
def test_value_that_is_not_printable_text_is_rejected_and_escaped(value):
    with pytest.raises(DataError, match="expected printable text of at most 6 characters") as caught:
        parse(f'{{"a": {value}}}').text("a", 6)
    assert str(caught.value).replace("\n", "").isprintable()


def test_missing_field_is_named_with_its_path():
    with pytest.raises(DataError, match=r"facts\.json is incomplete: it has no a\.b"):
        parse('{"a": {}}').object("a").text("b", 9)


def test_long_value_is_shortened():
    with pytest.raises(DataError) as caught:
        parse(f'{{"a": "{"x" * 10_000}"}}').integer("a", 0, 1)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", '{"a": }', '{"a": "\\ud800"}', '{"a": "\ud800"}', "[" * 100_000,
     '{"a":' * 100 + "1" + "}" * 100, '{"a": ' + "9" * 10_000 + "}"],
    ids=range(10),
)  # fmt: skip
def test_text_that_is_not_a_plain_object_is_rejected(text):
    with pytest.raises(DataError, match=r"facts\.json is (damaged|invalid)"):
        parse(text)
