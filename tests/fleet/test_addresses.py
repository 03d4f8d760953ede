from __future__ import annotations

import pytest

from edgefer.errors import UsageError
from edgefer.fleet.addresses import parse_address


@pytest.mark.parametrize(
    ("text", "target", "port"),
    [
        ("board", "board", ""),
        ("pi@board", "pi@board", ""),
        ("pi@board:2222", "pi@board", "2222"),
        ("board:22", "board", "22"),
        ("pi@::1", "pi@::1", ""),
        ("pi@fd00::1:42", "pi@fd00::1:42", ""),
        ("pi@[::1]", "pi@::1", ""),
        ("[::1]:2222", "::1", "2222"),
        ("pi@[fe80::1%eth0]:22", "pi@fe80::1%eth0", "22"),
        ("ssh://pi@board:2222", "pi@board", "2222"),
        ("ssh://board/", "board", ""),
        ("ssh://pi@[fd00::1]:2222", "pi@fd00::1", "2222"),
        ("ssh://first%40last@board", "first@last@board", ""),
        ("first@last@board", "first@last@board", ""),
        ("DOMAIN\\user+x@board", "DOMAIN\\user+x@board", ""),
        ("pi@alias:with:colons", "pi@alias:with:colons", ""),
    ],
)
def test_every_address_of_openssh_is_parsed(text: str, target: str, port: str) -> None:
    address = parse_address(text)
    assert (address.target, address.port) == (target, port)


@pytest.mark.parametrize(
    "text",
    [
        "", "@board", "pi@", ":22", "pi@board:", "pi@board:0", "pi@board:65536", "pi@board:99999999999", "pi@[::1",
        "[]", "pi@[::1]:", "pi@[::1]:ssh", "-oProxyCommand=x", "-x@board", "pi@-x", "ssh://-x", "ssh://", "pi@[-x]:22",
        "--", "two words", "pi@board\n", "pi@bo\tard", "pi@\x1b[2J",
    ],
)  # fmt: skip
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid address"):
        parse_address(text)


def test_commands_for_the_user_have_the_port() -> None:
    address = parse_address("pi@[fd00::1]:2222")
    assert address.arguments == "-p 2222 pi@fd00::1"
    assert address.known_hosts_name == "[fd00::1]:2222"
    assert parse_address("pi@board:22").known_hosts_name == "board"
