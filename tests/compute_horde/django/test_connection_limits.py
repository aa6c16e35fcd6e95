"""Limits on open connections, and what counts as one address."""

import asyncio
import contextlib
import socket

import pytest

from compute_horde.django import connection_limits
from compute_horde.django.connection_limits import ConnectionLimits, address_group
from tests.eventually import eventually
from tests.guarded_server import BODY_BYTES, GET, UPGRADE, one_answer, post, serving, status


@pytest.fixture(autouse=True)
def _sweep_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "SWEEP_SECONDS", 0.02)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("1.2.3.4", "1.2.3.4", True),
        ("1.2.3.4", "1.2.3.5", False),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_an_ipv6_address_stands_for_its_network(one: str, other: str, is_same: bool) -> None:
    assert (address_group(one) == address_group(other)) is is_same


def test_no_text_is_too_odd_to_be_counted() -> None:
    assert len(address_group("x" * 1000)) <= 64


async def test_a_body_longer_than_memory_has_room_for_is_refused_until_there_is() -> None:
    limits = ConnectionLimits(body_bytes_per_address=BODY_BYTES)
    async with serving(connections=limits) as server:
        server.application.may_answer.clear()
        reader, writer = await server.open()
        writer.write(post(BODY_BYTES) + b"x" * BODY_BYTES)
        while server.guard.table._held_bytes != BODY_BYTES:
            await asyncio.sleep(0)
        answer = await server.exchange(post(1) + b"x")
        assert status(answer) == 503
        assert b"retry-after" in answer
        server.application.may_answer.set()
        assert (await one_answer(reader, writer, b""))[0] == 200
        assert (await one_answer(reader, writer, post(1) + b"x"))[0] == 200
        writer.close()


async def test_connections_of_one_address_are_bounded_until_they_are_known() -> None:
    async with serving(connections=ConnectionLimits(per_address=2)) as server:
        held = [await server.open() for _ in range(2)]
        for (reader, writer), path in zip(held, (b"/", b"/known"), strict=True):
            writer.write(UPGRADE.replace(b"GET /", b"GET " + path, 1) + b"\r\n")
            await reader.readuntil(b"ws")
        reader, writer = await server.open()
        assert (await one_answer(reader, writer, GET + b"\r\n"))[0] == 200
        assert status(await server.exchange()) == 503
        writer.close()
        held[0][1].close()
        for _, writer in held:
            writer.close()


async def test_a_long_answer_to_somebody_known_by_name_is_not_counted_for_his_address() -> None:
    async with serving(connections=ConnectionLimits(per_address=1)) as server:
        server.application.may_answer.clear()
        held, others = [], []
        for number in range(3):
            reader, writer = await server.open()
            writer.write(GET.replace(b"GET /", b"GET /by-name", 1) + b"\r\n")
            held.append((reader, writer))
            await eventually(lambda seen=number: server.application.served == seen + 1)
            # Until now the connection was counted for its address.
            await eventually(lambda: not server.guard.table._by_address)
        assert len(server.guard.table) == 3
        server.application.may_answer.set()
        for reader, writer in held:
            others.append(await one_answer(reader, writer, b""))
        assert [answer for answer, _ in others] == [200] * 3
        # Afterwards they are: the address has room for one, the others are closed.
        await eventually(lambda: len(server.guard.table) == 1)
        for _, writer in held:
            writer.close()


async def test_connections_of_known_users_count_among_all() -> None:
    async with serving(connections=ConnectionLimits(in_all=2)) as server:
        server.application.may_answer.clear()
        held = [await server.open() for _ in range(2)]
        for _, writer in held:
            writer.write(GET.replace(b"GET /", b"GET /by-name", 1) + b"\r\n")
        await eventually(lambda: server.application.served == 2)
        await eventually(lambda: not server.guard.table._by_address)
        assert status(await server.exchange()) == 503
        server.application.may_answer.set()
        for _, writer in held:
            writer.close()


async def test_connections_are_bounded_in_all() -> None:
    async with serving(connections=ConnectionLimits(in_all=3)) as server:
        held = [await server.open() for _ in range(3)]
        assert status(await server.exchange()) == 503
        held[0][1].close()
        while len(server.guard.table) == 3:
            await asyncio.sleep(0)
        reader, writer = await server.open()
        assert (await one_answer(reader, writer, GET + b"\r\n"))[0] == 200
        for _, one in [*held, (reader, writer)]:
            one.close()


async def test_clients_behind_a_proxy_are_counted_each_for_itself() -> None:
    limits = ConnectionLimits(per_address=1)
    async with serving(trusted_proxies=["127.0.0.1"], connections=limits) as server:
        held = []
        for client in (b"5.5.5.5", b"6.6.6.6"):
            reader, writer = await server.open()
            writer.write(UPGRADE + b"X-Forwarded-For: %b\r\n\r\n" % client)
            await reader.readuntil(b"ws")
            held.append(writer)
        assert status(await server.exchange(GET + b"X-Forwarded-For: 5.5.5.5\r\n\r\n")) == 503
        reader, writer = await server.open()
        for _ in range(2):
            request = GET + b"X-Forwarded-For: 7.7.7.7\r\n\r\n"
            assert (await one_answer(reader, writer, request))[0] == 200
        for one in (*held, writer):
            one.close()


def received(peer: socket.socket) -> bytes:
    """All that is still read from a connection that the other side has closed."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := peer.recv(2**16):
            found += piece
    return found


async def test_a_client_that_reads_nothing_of_its_answer_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_limits, "STALLED_SECONDS", 0.3)
    async with serving() as server:
        server.application.answer = b"x" * 2**25
        with socket.create_connection(("127.0.0.1", server.port)) as peer:
            peer.sendall(GET + b"\r\n")
            await eventually(lambda: server.application.served)
            await eventually(lambda: not len(server.guard.table), within=20)
            assert len(received(peer)) < 2**25
