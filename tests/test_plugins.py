import functools

import pytest

from edgefer import plugins
from edgefer.errors import UsageError

SCHEMES = "edgefer.workstation.quantization.schemes"


def test_plug_ins_are_the_modules_of_the_folder():
    assert set(plugins.names(SCHEMES)) >= {"float32", "int8"}


def test_load_returns_the_module():
    assert plugins.load(SCHEMES, "int8").__name__ == f"{SCHEMES}.int8"


def test_a_misspelled_name_gets_a_suggestion():
    with pytest.raises(UsageError, match="'int8'") as caught:
        plugins.load(SCHEMES, "itn8")
    assert caught.value.exit_code == 2
    assert "float32" in caught.value.why


@pytest.mark.parametrize("name", ["", "..errors", "_options", "__init__", "int8.py"])
def test_only_public_modules_of_the_folder_are_plug_ins(name):
    with pytest.raises(UsageError):
        plugins.load(SCHEMES, name)


@pytest.mark.parametrize("name", plugins.names(SCHEMES))
def test_a_constant_is_read_without_an_import(name):
    module = plugins.load(SCHEMES, name)
    assert plugins.read_constant(SCHEMES, name, "DESCRIPTION") == module.DESCRIPTION
    with pytest.raises(LookupError, match="NOWHERE"):
        plugins.read_constant(SCHEMES, name, "NOWHERE")


def test_a_name_is_parsed_with_its_options():
    parse = functools.partial(plugins.parse_options, option="--judge")
    assert parse("emulated:script=a.sh,folder=b=c") == ("emulated", {"script": "a.sh", "folder": "b=c"})
    assert parse("macs") == parse("macs:") == ("macs", {})
    for text in ("macs:x", "macs:x="):
        with pytest.raises(UsageError, match="KEY=VALUE"):
            parse(text)
