"""The stored log of a job."""

import pytest
from django.db import connection

from compute_horde.django.database import in_database
from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.vocabulary import JobState, Stream
from facilitator.logs import store
from facilitator.models import JobPiece
from tests.compute_horde.vectors import KEYS

VALIDATOR = KEYS["validator"].ss58_address
ROOMY = 10**6


def piece(uuid: str, offset: int, text: str) -> OutputPrinted:
    return OutputPrinted(job_uuid=uuid, offset=offset, stream=Stream.STDOUT, text=text)


@pytest.fixture
async def uuid(user, line) -> str:
    made = (await user.create()).json()["uuid"]
    await line.receive()
    return made


async def test_a_log_grows_and_a_repeated_write_changes_nothing(user, uuid):
    written = [piece(uuid, 0, "aö"), piece(uuid, 3, "b")]
    for _ in range(2):
        assert await in_database(store.append, uuid, VALIDATOR, written, ROOMY)
    more = [piece(uuid, 3, "bc")]
    assert await in_database(store.append, uuid, VALIDATOR, more, ROOMY)
    page = await in_database(store.read_page, uuid, user.hotkey, 0)
    assert (page.state, page.is_last) == (JobState.SENT, False)
    found = [(row.number, row.position, row.end, row.text) for row in page.rows]
    assert found == [(0, 0, 4, "aöb"), (1, 4, 5, "c")]


async def test_a_job_of_another_validator_has_no_log_here(uuid):
    assert not await in_database(store.append, uuid, "stranger", [piece(uuid, 0, "a")], ROOMY)
    assert await in_database(JobPiece.objects.count) == 0


async def test_a_page_begins_with_the_row_that_holds_the_place(user, uuid):
    for offset in range(0, 6, 2):
        one = [piece(uuid, offset, "ab")]
        assert await in_database(store.append, uuid, VALIDATOR, one, ROOMY)
    for place, first in ((0, 0), (1, 0), (2, 2), (3, 2), (5, 4)):
        page = await in_database(store.read_page, uuid, user.hotkey, place)
        assert page.rows[0].position == first
    page = await in_database(store.read_page, uuid, user.hotkey, 6)
    assert (list(page.rows), page.end) == ([], 6)
    assert await in_database(store.read_page, uuid, "another user", 0) is None


async def test_who_is_at_the_end_of_a_log_costs_no_look_at_all_of_it(user, uuid):
    one = {"job_id": uuid, "stream": "stdout", "text": "x"}
    rows = [JobPiece(number=n, position=n, end=n + 1, source_end=n + 1, **one) for n in range(3000)]
    asked = []

    def watched(execute, sql, params, many, context):
        asked.append((sql, params))
        return execute(sql, params, many, context)

    def plans() -> str:
        JobPiece.objects.bulk_create(rows)
        with connection.execute_wrapper(watched):
            assert store.read_page(uuid, user.hotkey, 3000).end == 3000
        with connection.cursor() as cursor:
            return str([_plan(cursor, *one) for one in asked])

    assert "Rows Removed" not in await in_database(plans)


def _plan(cursor, sql, params):
    cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", params)
    return cursor.fetchall()
