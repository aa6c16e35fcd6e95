"""Validator logins: by challenge, and published ones, which may be replayed."""

import json
import time

import pytest
from pydantic import ValidationError

from compute_horde.django.database import in_database
from facilitator import validator_login
from facilitator.config import Config
from facilitator.jobs import validator_connections
from facilitator.models import Validator
from tests.compute_horde.vectors import KEYS, VECTORS

RECORDED = VECTORS["facilitator_auth_vector"]["message"]
HOTKEY = KEYS["validator"].ss58_address
KEY = "a-key-of-fifty-characters-that-signs-nothing-at-all-0123456789"


async def login_outcome(line, login) -> str:
    """The response to a login: `success`, or the error's type and text."""
    await line.send(login if isinstance(login, dict) else json.loads(login.encode()))
    answer = await line.receive()
    return " ".join([answer["status"], *(f"{e['type']}: {e['msg']}" for e in answer["errors"])])


async def test_a_challenge_that_was_answered_logs_in_on_no_other_connection(connect):
    first, thief = await connect().open(), await connect().open()
    login = first.login()
    assert await login_outcome(first, login) == "success"
    assert "another connection" in await login_outcome(thief, login)
    assert await thief.closed() == 3000


async def test_who_has_answered_a_challenge_is_never_taken_by_the_published_login(connect):
    ours = await connect().log_in()
    await ours.leave()
    thief = await connect().open()
    assert "has answered login challenges before" in await login_outcome(thief, RECORDED)
    assert await thief.closed() == 3000
    # Unless the operator allows it.
    await in_database(Validator.objects.update, challenged_since=None)
    assert await login_outcome(await connect().open(), RECORDED) == "success"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"audience": "other.example"}, "not a name of this facilitator"),
        ({"timestamp": int(time.time()) - 3600}, "dated over"),
        ({"timestamp": int(time.time()) + 3600}, "dated over"),
        ({"nonce": "0" * 64}, "another connection"),
    ],
    ids=["another facilitator's", "too old", "from the future", "another nonce"],
)
async def test_a_login_for_another_facilitator_time_or_connection_is_refused(
    changes, problem, connect, configure
):
    configure(allowed_hosts=["facilitator.example", "testserver"])
    line = await connect().open()
    assert problem in await login_outcome(line, line.login(**changes))
    assert await line.closed() == 3000
    line = await connect().open()
    assert await login_outcome(line, line.login()) == "success"


@pytest.mark.parametrize("hosts", [["fd00::1"], ["[FD00:0::1]"]])
async def test_a_validator_at_the_url_of_an_ipv6_address_may_log_in(hosts, connect, configure):
    configure(allowed_hosts=made(allowed_hosts=hosts).allowed_hosts)
    line = await connect().open()
    assert "not a name" in await login_outcome(line, line.login(audience="fd00::2"))
    line = await connect().open()
    assert await login_outcome(line, line.login(audience="fd00::1")) == "success"


def made(**changes) -> Config:
    return Config(
        _env_file=None, secret_key=KEY, database_url="postgresql://u:p@127.0.0.1/x", **changes
    )


async def test_by_default_a_login_is_for_the_names_of_loopback_alone(connect, configure):
    configure(allowed_hosts=made(host="127.0.0.1", allowed_hosts=[]).allowed_hosts)
    for audience, end in (("evil.example", "auth.signature_invalid"), ("::1", "success")):
        line = await connect().open()
        assert end in await login_outcome(line, line.login(audience=audience))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"host": "0.0.0.0", "allowed_hosts": []}, "is not set"),
        ({"allowed_hosts": ["f.example", "*"]}, "made for another facilitator"),
    ],
)
def test_a_facilitator_that_cannot_know_its_names_does_not_start(changes, problem):
    with pytest.raises(ValidationError, match=problem):
        made(**changes)


async def test_every_part_of_the_answer_is_signed(connect):
    line = await connect().open()
    login = json.loads(line.login().encode())
    login["challenge"]["timestamp"] += 1
    assert "auth.signature_invalid" in await login_outcome(line, login)


async def test_of_two_published_validators_with_one_hotkey_the_second_is_refused_with_an_alarm(
    connect,
):
    first = await connect(is_published=True, address="192.0.2.1").log_in()
    second = await connect(is_published=True, address="198.51.100.9").open()
    assert "auth.already_connected" in await login_outcome(second, RECORDED)
    assert await second.closed() == 3001
    row = await in_database(Validator.objects.get)
    assert row.conflicts == 1
    assert "198.51.100.9" in row.last_conflict
    assert "192.0.2.1" in row.last_conflict
    assert [one.name for one in validator_connections.connections.all()] == [
        validator_connections.connections.pick(HOTKEY).name
    ]
    # It is accepted as soon as the first is closed.
    await first.leave()
    assert await login_outcome(await connect().open(), RECORDED) == "success"
    assert (await in_database(Validator.objects.get)).conflicts == 1


async def test_a_published_validator_whose_old_connection_was_lost_comes_in_without_an_alarm(
    connect,
):
    lost = await connect(is_published=True, is_there=False).log_in()
    await connect(is_published=True).log_in()
    assert len(validator_connections.connections.all()) == 1
    await lost.leave()
    assert len(validator_connections.connections.all()) == 1
    row = await in_database(Validator.objects.get)
    assert (row.conflicts, row.last_conflict) == (0, "")


async def test_of_many_refused_second_connections_one_a_minute_is_stored(connect, monkeypatch):
    await connect(is_published=True, address="192.0.2.1").log_in()
    for address in ("198.51.100.1", "198.51.100.2", "198.51.100.3"):
        line = await connect(is_published=True, address=address).open()
        assert "auth.already_connected" in await login_outcome(line, RECORDED)
    row = await in_database(Validator.objects.get)
    assert row.conflicts == 1
    assert "198.51.100.1" in row.last_conflict
    monkeypatch.setattr(validator_login, "ALARM_EVERY_SECONDS", 0.0)
    line = await connect(is_published=True, address="198.51.100.4").open()
    assert "auth.already_connected" in await login_outcome(line, RECORDED)
    assert (await in_database(Validator.objects.get)).conflicts == 2


async def test_a_published_connection_that_fell_silent_gives_way(connect, monkeypatch):
    old = await connect(is_published=True).log_in()
    monkeypatch.setattr(validator_connections, "FRESH_SECONDS", -1)
    await connect(is_published=True).log_in()
    assert await old.closed() == 3001
    assert (await in_database(Validator.objects.get)).conflicts == 0


async def test_who_proves_to_be_the_validator_ends_the_thief_s_connection(connect):
    thief = await connect(is_published=True, address="198.51.100.9").log_in()
    await connect(address="192.0.2.1").log_in()
    assert await thief.closed() == 3001
    row = await in_database(Validator.objects.get)
    assert "198.51.100.9" in row.last_conflict


async def test_a_validator_that_proved_itself_may_have_several_connections(connect):
    lines = [await connect().log_in() for _ in range(3)]
    assert len(validator_connections.connections.all()) == len(lines)
    assert (await in_database(Validator.objects.get)).conflicts == 0


def test_the_alarm_is_seen_and_acknowledged_in_the_admin(admin_client, db):
    Validator.objects.get_or_create(hotkey=HOTKEY)
    validator_login.record_conflict(HOTKEY, "x" * 1000)
    page = admin_client.get("/admin/facilitator/validator/").content.decode()
    assert "ALARM: two parties log in as this validator" in page
    for action in ("acknowledge_conflicts", "allow_published_login"):
        changes = {"action": action, "_selected_action": [HOTKEY]}
        assert admin_client.post("/admin/facilitator/validator/", changes).status_code == 302
    assert "ALARM" not in admin_client.get("/admin/facilitator/validator/").content.decode()
