"""What a process needs is checked in order and in time, and errors name the remedy."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bittensor_core import Keypair
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from compute_horde.adapters.wallet import write_hotkey
from compute_horde.django import needs
from compute_horde.django.needs import ListenAddress, Need, check_all, database_problem
from compute_horde.errors import ConfigurationError, OutsideError
from tests.servers import free_port

FUTURE = ("auth", "9999_of_a_newer_version")


def noted(order: list[str], name: str, problem: Exception | None = None) -> Need:
    """A need that notes when it is prepared and checked."""

    def check() -> None:
        order.append(name)
        if problem:
            raise problem

    return Need(name, check, prepare=lambda: order.append(f"prepare {name}"))


def test_needs_are_checked_in_order_up_to_the_first_that_is_not_met():
    order: list[str] = []
    problem = OutsideError("no b")
    with pytest.raises(OutsideError) as failed:
        check_all([noted(order, "a"), noted(order, "b", problem), noted(order, "c")])
    assert failed.value is problem
    assert order == ["prepare a", "prepare b", "prepare c", "a", "b"]


def test_a_check_that_hangs_is_named_after_the_limit():
    may_end = threading.Event()
    hanging = Need("node", lambda: may_end.wait(30) and None)
    began = time.monotonic()
    try:
        with pytest.raises(OutsideError, match=r"the node did not answer within 0\.1 s"):
            check_all([Need("port", lambda: None), hanging], 0.1)
    finally:
        may_end.set()
    assert time.monotonic() - began < 10


def test_a_key_is_read_before_the_start(tmp_path):
    with pytest.raises(ConfigurationError, match="none"):
        needs.hotkey(tmp_path / "none").check()
    write_hotkey(tmp_path / "key", Keypair.create_from_uri("//Alice"))
    assert needs.hotkey(tmp_path / "key").check() is None


def test_an_address_is_bound_and_nobody_else_gets_it():
    first = ListenAddress("127.0.0.1", free_port(), "MINER_")
    first.need.check()
    port = first.sockets[0].getsockname()[1]
    try:
        assert first.address == f"127.0.0.1:{port}"
        # It does not listen yet.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        first.sockets[0].listen()
        wanted = f"MINER_HOST=127.0.0.1, MINER_PORT={port}.*Address already in use"
        with pytest.raises(ConfigurationError, match=wanted):
            ListenAddress("127.0.0.1", port, "MINER_").bind()
    finally:
        first.sockets[0].close()


def test_an_address_of_ipv6_is_written_as_in_urls():
    listener = ListenAddress("::1", 0, "MINER_")
    listener.bind()
    with listener.sockets[0] as bound:
        assert listener.address == f"[::1]:{bound.getsockname()[1]}"


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_refused_by_its_settings(host):
    with pytest.raises(ConfigurationError, match=f"X_HOST={host}, X_PORT=0"):
        ListenAddress(host, 0, "X_").bind()


@pytest.mark.parametrize(
    ("text", "kind", "may_pass"),
    [
        ('connection to server at "h" failed: Connection refused', "cannot be reached", True),
        ('at "h" failed: FATAL:  the database system is starting up', "cannot be reached", True),
        ('at "h" failed: FATAL:  password authentication failed for "u"', "refuses us", False),
        ('at "h" failed: FATAL:  database "n" does not exist', "is unknown", False),
        ('at "h" failed: FATAL:  too many connections', "refuses us", False),
        ("", "cannot be reached", True),
    ],
)
def test_what_is_wrong_with_a_database_decides_whether_it_is_waited_for(text, kind, may_pass):
    problem = database_problem(OSError(text))
    assert (problem.kind, problem.may_pass) == (kind, may_pass)
    assert "FATAL" not in problem.detail
    assert problem.remedy


def test_a_migrated_database_is_ready():
    assert needs.database("MINER_").check() is None


@pytest.fixture
def recorder() -> Iterator[MigrationRecorder]:
    """The table of applied migrations, as it was afterwards."""
    made = MigrationRecorder(connection)
    before = set(made.applied_migrations())
    yield made
    after = set(made.applied_migrations())
    for one in before - after:
        made.record_applied(*one)
    for one in after - before:
        made.record_unapplied(*one)


def test_a_migration_that_is_missing_is_named_with_the_command(recorder):
    newest = max(name for app, name in recorder.applied_migrations() if app == "auth")
    recorder.record_unapplied("auth", newest)
    lacks = f"lacks 1 migrations, the first is auth.{newest}: run `python -m miner migrate`"
    with pytest.raises(ConfigurationError, match=lacks):
        needs.database("MINER_").check()
    assert needs.database("MINER_", migrated=False).check() is None


def test_a_database_of_a_newer_version_is_left_alone(recorder):
    recorder.record_applied(*FUTURE)
    with pytest.raises(ConfigurationError, match=r"newer version, which knows auth\.9999_of_a"):
        needs.database("MINER_").check()


@contextmanager
def connecting_with(**fields: object) -> Iterator[None]:
    """Django connects with these settings meanwhile."""
    connection.close()
    before = connection.settings_dict.copy()
    connection.settings_dict.update(fields)
    try:
        yield
    finally:
        connection.settings_dict.update(before)


def test_a_database_that_is_away_is_waited_for_and_then_named(monkeypatch):
    monkeypatch.setattr(needs, "DATABASE_SECONDS", 0.3)
    port, began = free_port(), time.monotonic()
    where = rf"at 127\.0\.0\.1:{port} cannot be used.*start PostgreSQL.*\(MINER_DATABASE_URL\)"
    away = connecting_with(HOST="127.0.0.1", PORT=str(port))
    with away, pytest.raises(OutsideError, match=where):
        needs.database("MINER_").check()
    assert 0.3 <= time.monotonic() - began < 10


def test_a_database_that_does_not_exist_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(needs, "DATABASE_SECONDS", 60)
    unknown = connecting_with(NAME="no_such_database")
    with unknown, pytest.raises(OutsideError, match="create it or correct the name"):
        needs.database("MINER_").check()


def test_a_broker_that_answers_is_enough():
    assert needs.broker(os.environ["VALIDATOR_REDIS_URL"], "X_URL").check() is None


def test_a_broker_that_does_not_is_named_without_its_password():
    port = free_port()
    with pytest.raises(OutsideError, match=rf"127\.0\.0\.1:{port}.*correct X_URL") as failed:
        needs.broker(f"redis://:secret@127.0.0.1:{port}/0", "X_URL").check()
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("url", ["http://x", "redis://:pass/word@h:1/0", "valkey"])
def test_an_address_of_no_broker_is_a_wrong_setting(url):
    with pytest.raises(ConfigurationError, match="X_URL is no address of a broker"):
        needs.broker(url, "X_URL").check()


def test_a_question_of_a_service_may_have_an_answer_or_a_problem():
    async def fine() -> None:
        return None

    async def wrong() -> None:
        raise ConfigurationError("no executors")

    assert needs.asked("executors", fine).check() is None
    with pytest.raises(ConfigurationError, match="no executors"):
        needs.asked("executors", wrong).check()
