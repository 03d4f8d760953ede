from __future__ import annotations

import socket
from contextlib import closing

import pytest

from edgefer.errors import EdgeferError, UsageError
from edgefer.live.web import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":4912", "127.0.0.1", 4912),
        ("localhost:80", "localhost", 80),
        ("127.0.0.9:1", "127.0.0.9", 1),
        ("[::1]:4912", "::1", 4912),
        ("0.0.0.0:4912", "0.0.0.0", 4912),
        ("[::]:4912", "::", 4912),
        ("pi.local:4912", "pi.local", 4912),
        ("192.168.0.20:65535", "192.168.0.20", 65535),
    ],
)
def test_a_text_selects_host_and_port(text, host, port) -> None:
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize("text", ["", "4912", ":", ":http", ":65536", "::1:4912", "[::1]", "http://pi:80", "a b:80"])
def test_an_invalid_address_is_rejected_with_an_example(text) -> None:
    with pytest.raises(UsageError, match=r"\[HOST\]:PORT") as caught:
        Address.parse(text)
    assert "--serve :4912" in caught.value.hint


def test_a_port_in_use_is_an_error_that_suggests_the_next_port() -> None:
    with closing(Address("127.0.0.1", 0).listen()) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(EdgeferError, match="another program uses this port") as caught:
            Address("127.0.0.1", port).listen()
    assert f"127.0.0.1:{port}" in caught.value.what
    assert f":{port + 1}" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "why"), [("192.0.2.7", "does not have this address"), ("no.invalid", "cannot resolve")]
)
def test_a_host_that_is_not_this_machine_is_an_error(host, why) -> None:
    with pytest.raises(EdgeferError, match=why) as caught:
        Address(host, 4912).listen()
    assert ":4912" in caught.value.hint


def test_the_url_names_a_host_that_a_browser_can_open() -> None:
    assert Address.parse(":0").url(4912) == "http://127.0.0.1:4912/"
    assert Address.parse("[::1]:0").url(4912) == "http://[::1]:4912/"
    host = Address.parse("0.0.0.0:0").url(4912).removeprefix("http://").removesuffix(":4912/")
    assert host not in ("", "0.0.0.0")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_ipv6_addresses_include_the_ipv4_ones() -> None:
    with closing(Address("::", 0).listen()) as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
