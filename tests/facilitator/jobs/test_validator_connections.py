"""Each job is sent on exactly one live connection, and again only when that one is closed."""

import asyncio
import time

from compute_horde.django.database import in_database
from facilitator.jobs import status_reports, store, validator_connections
from facilitator.jobs.validator_connections import ConnectionRegistry
from facilitator.models import Job, Validator
from tests.compute_horde.vectors import KEYS

HOTKEY = KEYS["validator"].ss58_address


async def received_uuids(*lines) -> list[list[str]]:
    """The UUIDs of the jobs that each connection has received so far."""
    received = []
    for line in lines:
        mine = []
        while not await line.receives_nothing():
            mine.append((await line.receive())["uuid"])
        received.append(mine)
    return received


async def test_a_job_goes_to_exactly_one_of_two_connections(user, line, connect):
    other = await connect().log_in()
    uuids = [(await user.create()).json()["uuid"] for _ in range(4)]
    first, second = await received_uuids(line, other)
    assert sorted(first + second) == sorted(uuids)


async def test_a_job_not_yet_received_goes_to_the_other_connection(user, line, connect):
    other = await connect().log_in()
    taken = (await user.create()).json()["uuid"]
    first, _ = await received_uuids(line, other)
    holder, successor = (line, other) if first else (other, line)
    await holder.leave()
    assert (await successor.receive())["uuid"] == taken
    assert await successor.receives_nothing()


async def test_a_job_not_yet_received_waits_for_the_validator_to_come_back(user, line, connect):
    uuids = [(await user.create()).json()["uuid"] for _ in range(3)]
    await line.leave()
    back = await connect().log_in()
    assert await received_uuids(back) == [uuids]
    later = await connect().log_in()
    assert await later.receives_nothing()


async def test_a_received_job_is_not_sent_again(user, line, connect):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    await line.report(uuid, "received")
    await line.leave()
    assert await (await connect().log_in()).receives_nothing()


async def test_a_job_reported_as_received_with_the_last_breath_is_not_sent_again(
    user, line, connect
):
    other = await connect().log_in()
    uuids = [(await user.create()).json()["uuid"] for _ in range(2)]
    first, _ = await received_uuids(line, other)
    holder, successor = (line, other) if len(first) == 2 else (other, line)
    for uuid in uuids:
        await holder.send_status(uuid, "received")
    await holder.leave()
    assert await successor.receives_nothing()


async def test_jobs_reported_as_received_are_not_sent_again_whatever_was_sent_after_them(
    user, line, connect, monkeypatch
):
    other = await connect().log_in()
    uuids = [(await user.create()).json()["uuid"] for _ in range(3)]
    first, second = await received_uuids(line, other)
    holder, successor, held = (line, other, first) if len(first) > 1 else (other, line, second)
    monkeypatch.setattr(status_reports.writer, "_linger", 0.5)
    *taken, over = held
    for uuid in taken:
        await holder.send_status(uuid, "received")
    await holder.send_status(over, "horde_failed")
    await holder.leave()
    assert sorted(first + second) == sorted(uuids)
    assert await successor.receives_nothing()


async def test_a_validator_back_at_once_is_not_sent_what_it_just_reported_as_received(
    user, line, connect, monkeypatch
):
    taken, unsent = [(await user.create()).json()["uuid"] for _ in range(2)]
    assert await received_uuids(line) == [[taken, unsent]]
    write, may_write = status_reports.writer._write, asyncio.Event()

    async def held(key, reports):
        await may_write.wait()
        await write(key, reports)

    monkeypatch.setattr(status_reports.writer, "_write", held)
    await line.send_status(taken, "received")
    leaving = asyncio.create_task(line.leave())
    back = await connect().log_in()
    assert not leaving.done()
    assert await back.receives_nothing()
    may_write.set()
    await leaving
    assert await received_uuids(back) == [[unsent]]


async def test_jobs_of_a_process_that_was_killed_are_sent_again(user, line, connect):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    await line.leave()
    await in_database(Job.objects.update, taken_by="0123456789abcdef-1")
    assert (await (await connect().log_in()).receive())["uuid"] == uuid


async def test_a_job_whose_connection_dies_while_it_is_stored_finds_another(user, line, connect):
    other = await connect().log_in()
    submission = asyncio.create_task(user.create())
    # Either connection may be chosen; one of them closes before the row is stored.
    await asyncio.sleep(0.002)
    await line.leave()
    uuid = (await submission).json()["uuid"]
    assert (await other.receive())["uuid"] == uuid
    assert await other.receives_nothing()


async def test_two_connections_cannot_adopt_the_same_job(user, line):
    uuid = (await user.create()).json()["uuid"]
    frames = await asyncio.gather(
        *(
            in_database(store.claim_jobs, HOTKEY, f"x{n}", [f"x{m}" for m in range(8)], 9)
            for n in range(8)
        )
    )
    assert [len(one) for one in frames if one] == [1]
    assert uuid in next(one for one in frames if one)[0]


async def test_jobs_of_another_validator_are_left_alone(user, line, connect):
    await in_database(Validator.objects.create, hotkey=KEYS["miner"].ss58_address)
    await user.create()
    await line.leave()
    assert await (await connect(KEYS["miner"]).log_in()).receives_nothing()


async def test_a_silent_connection_gets_no_jobs_and_is_ended(user, line, monkeypatch):
    monkeypatch.setattr(validator_connections, "FRESH_SECONDS", -1)
    assert (await user.create()).json() == ["Could not select Validator"]
    monkeypatch.setattr(validator_connections, "STALE_SECONDS", -1)
    await validator_connections.close_stale(set())
    assert await line.closed() == 3001


class Idle:
    """A connection that ignores everything."""

    def __init__(self, name: str, last_received: float, hotkey: str = "v") -> None:
        self.name, self.hotkey, self.last_received = name, hotkey, last_received

    async def send_frame(self, frame: str) -> None: ...

    async def terminate(self, code: int) -> None: ...


async def test_the_connection_that_received_last_is_chosen():
    registry, now = ConnectionRegistry(), time.monotonic()
    assert registry.pick("v") is None
    for name, age in (("a", 5), ("b", 1), ("c", 9)):
        registry.add(Idle(name, now - age))
    assert registry.pick("v").name == "b"
    assert registry.holders("v") == ["a", "b", "c"]
    assert registry.find("v", "c").name == "c"
    assert registry.find("w", "c") is None
    assert len(registry.all()) == 3


async def test_absence_is_counted_from_the_last_connection_that_left():
    registry = ConnectionRegistry()
    one, two = Idle("a", 0), Idle("b", 0)
    registry.add(one)
    registry.add(two)
    registry.remove(one)
    assert registry.absent_seconds("v") == 0
    registry.remove(two)
    registry.remove(two)
    assert sorted(registry.holders("v")) == ["a", "b"]
    registry.forget(one)
    registry.forget(two)
    assert registry.holders("v") == []
    assert 0 < registry.absent_seconds("v") < 1
    assert registry.absent_seconds("never seen") > 0


def test_no_two_connections_share_a_name():
    registry = ConnectionRegistry()
    names = {registry.new_name() for _ in range(100)}
    assert len(names) == 100
    assert max(map(len, names)) <= 40


async def test_a_long_queue_is_sent_in_order(user, line, connect, monkeypatch):
    monkeypatch.setattr(validator_connections, "BATCH_SIZE", 7)
    uuids = [(await user.create()).json()["uuid"] for _ in range(20)]
    await line.leave()
    assert await received_uuids(await connect().log_in()) == [uuids]
