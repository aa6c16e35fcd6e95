"""Each job is said on exactly one live connection, and again only when that one is gone."""

import asyncio
import time

from compute_horde.django.database import in_database
from facilitator import actions, reports, switchboard
from facilitator.models import Job, Validator
from facilitator.switchboard import Switchboard
from tests.compute_horde.vectors import KEYS

HOTKEY = KEYS["validator"].ss58_address


async def heard_uuids(*lines) -> list[list[str]]:
    """What each line was told so far."""
    heard = []
    for line in lines:
        mine = []
        while not await line.hears_nothing():
            mine.append((await line.hear())["uuid"])
        heard.append(mine)
    return heard


async def test_a_job_goes_to_exactly_one_of_two_connections(user, line, connect):
    other = await connect().log_in()
    uuids = [(await user.create()).json()["uuid"] for _ in range(4)]
    first, second = await heard_uuids(line, other)
    assert sorted(first + second) == sorted(uuids)


async def test_a_job_not_yet_received_goes_to_the_other_connection(user, line, connect):
    other = await connect().log_in()
    taken = (await user.create()).json()["uuid"]
    first, _ = await heard_uuids(line, other)
    holder, heir = (line, other) if first else (other, line)
    await holder.leave()
    assert (await heir.hear())["uuid"] == taken
    assert await heir.hears_nothing()


async def test_a_job_not_yet_received_waits_for_the_validator_to_come_back(user, line, connect):
    uuids = [(await user.create()).json()["uuid"] for _ in range(3)]
    await line.leave()
    back = await connect().log_in()
    assert await heard_uuids(back) == [uuids]
    later = await connect().log_in()
    assert await later.hears_nothing()


async def test_a_received_job_is_not_said_again(user, line, connect):
    uuid = (await user.create()).json()["uuid"]
    await line.hear()
    await line.report(uuid, "received")
    await line.leave()
    assert await (await connect().log_in()).hears_nothing()


async def test_a_job_reported_as_received_with_the_last_breath_is_not_said_again(
    user, line, connect
):
    other = await connect().log_in()
    uuids = [(await user.create()).json()["uuid"] for _ in range(2)]
    first, _ = await heard_uuids(line, other)
    holder, heir = (line, other) if len(first) == 2 else (other, line)
    for uuid in uuids:
        await holder.tell(uuid, "received")
    await holder.leave()
    assert await heir.hears_nothing()


async def test_jobs_reported_as_received_are_not_said_again_whatever_was_said_after_them(
    user, line, connect, monkeypatch
):
    other = await connect().log_in()
    uuids = [(await user.create()).json()["uuid"] for _ in range(3)]
    first, second = await heard_uuids(line, other)
    holder, heir, held = (line, other, first) if len(first) > 1 else (other, line, second)
    monkeypatch.setattr(reports.scribe, "_linger", 0.5)
    *taken, over = held
    for uuid in taken:
        await holder.tell(uuid, "received")
    await holder.tell(over, "horde_failed")
    await holder.leave()
    assert sorted(first + second) == sorted(uuids)
    assert await heir.hears_nothing()


async def test_a_validator_back_at_once_is_not_told_what_it_just_reported_as_received(
    user, line, connect, monkeypatch
):
    taken, untold = [(await user.create()).json()["uuid"] for _ in range(2)]
    assert await heard_uuids(line) == [[taken, untold]]
    monkeypatch.setattr(reports.scribe, "_linger", 0.5)
    await line.tell(taken, "received")
    leaving = asyncio.create_task(line.leave())
    await asyncio.sleep(0.05)
    back = await connect().log_in()
    assert not leaving.done()
    assert await back.hears_nothing()
    await leaving
    assert await heard_uuids(back) == [[untold]]


async def test_jobs_of_a_process_that_was_killed_are_said_again(user, line, connect):
    uuid = (await user.create()).json()["uuid"]
    await line.hear()
    await line.leave()
    await in_database(Job.objects.update, taken_by="0123456789abcdef-1")
    assert (await (await connect().log_in()).hear())["uuid"] == uuid


async def test_a_job_whose_connection_dies_while_it_is_stored_finds_another(user, line, connect):
    other = await connect().log_in()
    order = asyncio.create_task(user.create())
    # Both may have been chosen; whichever it was, one of them leaves before the row is there.
    await asyncio.sleep(0.002)
    await line.leave()
    uuid = (await order).json()["uuid"]
    assert (await other.hear())["uuid"] == uuid
    assert await other.hears_nothing()


async def test_two_connections_cannot_adopt_the_same_job(user, line):
    uuid = (await user.create()).json()["uuid"]
    frames = await asyncio.gather(
        *(
            in_database(actions.adopt, HOTKEY, f"x{n}", [f"x{m}" for m in range(8)], 9)
            for n in range(8)
        )
    )
    assert [len(one) for one in frames if one] == [1]
    assert uuid in next(one for one in frames if one)[0]


async def test_jobs_of_another_validator_are_left_alone(user, line, connect):
    await in_database(Validator.objects.create, hotkey=KEYS["miner"].ss58_address)
    await user.create()
    await line.leave()
    assert await (await connect(KEYS["miner"]).log_in()).hears_nothing()


async def test_a_silent_connection_gets_no_jobs_and_is_ended(user, line, monkeypatch):
    monkeypatch.setattr(switchboard, "FRESH_SECONDS", -1)
    assert (await user.create()).json() == ["Could not select Validator"]
    monkeypatch.setattr(switchboard, "STALE_SECONDS", -1)
    await switchboard.hang_up_on(set())
    assert await line.closed() == 3001


class Idle:
    """A connection that only is there."""

    def __init__(self, name: str, last_heard: float, hotkey: str = "v") -> None:
        self.name, self.hotkey, self.last_heard = name, hotkey, last_heard

    async def speak(self, frame: str) -> None: ...

    async def hang_up(self, code: int) -> None: ...


async def test_the_connection_heard_from_last_is_chosen():
    board, now = Switchboard(), time.monotonic()
    assert board.pick("v") is None
    for name, age in (("a", 5), ("b", 1), ("c", 9)):
        board.join(Idle(name, now - age))
    assert board.pick("v").name == "b"
    assert board.holders("v") == ["a", "b", "c"]
    assert board.find("v", "c").name == "c"
    assert board.find("w", "c") is None
    assert len(board.all()) == 3


async def test_absence_is_counted_from_the_last_connection_that_left():
    board = Switchboard()
    one, two = Idle("a", 0), Idle("b", 0)
    board.join(one)
    board.join(two)
    board.leave(one)
    assert board.absent_for("v") == 0
    board.leave(two)
    board.leave(two)
    assert sorted(board.holders("v")) == ["a", "b"]
    board.forget(one)
    board.forget(two)
    assert board.holders("v") == []
    assert 0 < board.absent_for("v") < 1
    assert board.absent_for("never seen") > 0


def test_no_two_connections_share_a_name():
    board = Switchboard()
    names = {board.new_name() for _ in range(100)}
    assert len(names) == 100
    assert max(map(len, names)) <= 40


async def test_a_long_queue_is_said_in_order(user, line, connect, monkeypatch):
    monkeypatch.setattr(switchboard, "AT_ONCE", 7)
    uuids = [(await user.create()).json()["uuid"] for _ in range(20)]
    await line.leave()
    assert await heard_uuids(await connect().log_in()) == [uuids]
