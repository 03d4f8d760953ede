"""Connections without an admitted request, as plain callbacks."""

from __future__ import annotations

from edgefer.live.web.connections import Connections


def open_all(connections: Connections, clients: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Open connections and return the clients of those that were closed, in order."""
    closed: list[tuple[str, int]] = []
    for client in clients:
        connections.open(client, lambda client=client: closed.append(client))
    return closed


def test_above_the_limit_the_oldest_connection_is_closed() -> None:
    clients = [("10.0.0.1", port) for port in range(7)]
    assert open_all(Connections(max_waiting=4), clients) == clients[:3]


def test_an_admitted_connection_is_never_closed() -> None:
    connections = Connections(max_waiting=4)
    viewer = ("10.0.0.1", 99)
    open_all(connections, [viewer])
    connections.admit(viewer)
    assert viewer not in open_all(connections, [("10.0.0.1", port) for port in range(50)])


def test_a_host_with_many_connections_does_not_displace_others() -> None:
    connections = Connections(max_waiting=4)
    open_all(connections, [("10.0.0.2", 1)])
    closed = open_all(connections, [("10.0.0.1", port) for port in range(50)])
    assert {host for host, _ in closed} == {"10.0.0.1"}
    assert len(closed) == 47


def test_a_removed_connection_frees_its_place() -> None:
    connections = Connections(max_waiting=2)
    clients = [("10.0.0.1", port) for port in range(2)]
    open_all(connections, clients)
    connections.remove(clients[0])
    connections.remove(("unknown", 1))
    assert open_all(connections, [("10.0.0.1", 5)]) == []
