"""Old rows are deleted in batches: memory stays small, counts are right, finished work is kept."""

import tracemalloc
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from compute_horde.django import eviction
from compute_horde.django.eviction import delete_in_batches, run_command
from tests.compute_horde.django.records.models import Job, JobEvent

FILL = """
    WITH made AS (
        INSERT INTO records_job (uuid, state, state_since, created_at, note)
        SELECT gen_random_uuid(), 'completed', now(), now(), 'old' FROM generate_series(1, %s)
        RETURNING uuid
    )
    INSERT INTO records_jobevent (state, body, created_at, job_id)
    SELECT 'completed', repeat(md5(uuid::text), 30), now(), uuid FROM made
    CROSS JOIN generate_series(1, 2)
"""


def fill(rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL, [rows])


def peak_bytes(rows: int) -> int:
    fill(rows)
    tracemalloc.start()
    try:
        assert delete_in_batches(Job.objects.filter(note="old")) == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    few = peak_bytes(eviction.BATCH_ROWS * 2)
    many = peak_bytes(eviction.BATCH_ROWS * 20)
    assert many < few * 1.5
    assert many < 8 * 2**20


def test_only_jobs_are_counted_and_what_belongs_to_them_goes_too() -> None:
    fill(5)
    kept = Job.objects.create(uuid=uuid4(), state="sent", note="new")
    assert delete_in_batches(Job.objects.filter(note="old"), batch_rows=2) == 5
    assert list(Job.objects.all()) == [kept]
    assert not JobEvent.objects.exists()


def test_an_interrupted_eviction_keeps_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(5)
    batches = []

    def stop_after_two(rows: object, **options: int) -> int:
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(deleted := delete_batch(rows, **options))
        return deleted

    delete_batch = eviction.delete_batch
    monkeypatch.setattr(eviction, "delete_batch", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        delete_in_batches(Job.objects.all(), batch_rows=2)
    assert Job.objects.count() == 1


def test_the_command_says_what_was_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def evict(keep: timedelta) -> dict[str, int]:
        asked.append(keep)
        return {"jobs": 3, "receipts": 0}

    run_command("miner", ["--days", "2"], evict, 7)
    run_command("miner", [], evict, 7)
    assert asked == [timedelta(days=2), timedelta(days=7)]
    assert capsys.readouterr().out.splitlines()[0] == "deleted: 3 jobs, 0 receipts"


@pytest.mark.parametrize("days", ["0", "-1", "soon"])
def test_an_age_that_is_none_is_refused(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        run_command("miner", ["--days", days], lambda keep: {}, 7)
    assert exited.value.code == 2
    assert "--days" in capsys.readouterr().err
